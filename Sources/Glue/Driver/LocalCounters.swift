import Synchronization

/// What the driver itself counts, beside the core's counters.
final class LocalCounters: Sendable {
  enum Name: String, CaseIterable {
    case expiredAtHandover = "driver.expiredAtHandover"
    case droppedByBuffering = "driver.droppedByBuffering"
    case droppedDirect = "driver.directWithoutReader"
    case droppedEvents = "driver.droppedEvents"
    case slowCallbacks = "driver.slowCallbacks"
    /// Callbacks in which the I/O thread was stuck, so that another one took its place.
    case relievedCallbacks = "driver.relievedCallbacks"
    /// How often no thread was left for a callback.
    case callbackLimit = "driver.callbackThreadLimit"
    /// Messages that came while the I/O thread polled for an answer.
    case answersPolledFor = "driver.answersPolledFor"
    case sendErrors = "driver.sendErrors"
    case sendBlocked = "driver.sendBlocked"
    /// Datagrams that could not be sent soon enough after they were written, as the process was stopped, or the socket full.
    case sendOverdue = "driver.sendOverdue"
    /// To an address family that this endpoint does not use.
    case sendForeignFamily = "driver.sendForeignFamily"
    case receiveErrors = "driver.receiveErrors"
    case receiveTruncated = "driver.receiveTruncated"
    case receiveQueueDrops = "driver.receiveQueueDrops"
    case storeFailures = "driver.storeFailures"
  }

  private let values = Mutex([UInt64](repeating: 0, count: Name.allCases.count))

  /// - Returns: How many there are now.
  @discardableResult
  func add(_ count: UInt64 = 1, to name: Name) -> UInt64 {
    guard let index = Name.allCases.firstIndex(of: name) else { return 0 }
    return values.withLock { values in
      values[index] &+= count
      return values[index]
    }
  }

  subscript(name: Name) -> UInt64 {
    guard let index = Name.allCases.firstIndex(of: name) else { return 0 }
    return values.withLock { $0[index] }
  }

  var all: [(name: String, value: UInt64)] {
    let values = values.withLock { $0 }
    return zip(Name.allCases, values).map { ($0.rawValue, $1) }
  }
}
