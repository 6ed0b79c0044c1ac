import GlueCore

/// Tells when a message has arrived.
public struct Receipt: Sendable {
  enum Target: Hashable, Sendable {
    case publication(PublicationID)
    /// To a peer, in the session with this number.
    case direct(EndpointID, session: UInt32)
  }

  let endpoint: Endpoint
  let target: Target
  /// The message's number in its stream, from 0.
  public let sequence: UInt64
  /// One above the last position of the message; the stream is acknowledged below positions.
  let position: UInt64

  /// Waits until every reader that matched has the message, or can no longer get it. Nobody acknowledges best-effort
  /// messages, and nobody is waited for.
  ///
  /// - Parameter timeout: How long to wait; `nil`: as long as it takes. Cancelling the task ends the waiting as well.
  /// - Returns: Who has not got it, if anybody.
  public func acknowledged(timeout: Duration? = nil) async -> Acknowledgement {
    await endpoint.driver.acknowledgement(of: target, at: position, timeout: timeout)
  }

  /// Waits until so many caches have stored the message durably, and all since another one, on as many disks: it then outlives this
  /// process and theirs. Only what the topic's settings let be kept is stored, and no direct message.
  ///
  /// - Parameters:
  ///   - count: How many different stores have to have it.
  ///   - first: The receipt of the first message concerned; `nil`: this message alone.
  ///   - timeout: How long to wait; `nil`: as long as it takes, which may be for ever.
  /// - Throws: ``EndpointFailure/notStored(sequence:stores:wanted:)`` if the time is up or the publication is over, also at once for
  ///   a direct message; ``EndpointFailure/stopped`` or `CancellationError`.
  public func stored(by count: Int, since first: Receipt? = nil, timeout: Duration? = nil) async throws {
    guard case .publication(let id) = target else {
      throw EndpointFailure.notStored(sequence: sequence, stores: 0, wanted: count)
    }
    let start = min(first?.sequence ?? sequence, sequence)
    try await endpoint.driver.awaitStored(start..<sequence + 1, of: id, by: count, timeout: timeout)
  }

  /// Waits until so many other endpoints hold the value of a topic that retains its last one, in memory at least: it then outlives this
  /// process. Whoever holds a later value of this publication counts as well.
  ///
  /// - Parameters:
  ///   - count: How many have to hold it; at most 64 are counted.
  ///   - timeout: How long to wait; `nil`: as long as it takes, which may be for ever.
  /// - Throws: ``EndpointFailure/superseded(sequence:)`` if another publisher's value is higher;
  ///   ``EndpointFailure/notHeld(sequence:holders:wanted:)`` if the time is up or the publication is over, also at once for a message
  ///   that is no such value; ``EndpointFailure/stopped`` or `CancellationError`.
  public func held(by count: Int = 1, timeout: Duration? = nil) async throws {
    guard case .publication(let id) = target else {
      throw EndpointFailure.notHeld(sequence: sequence, holders: 0, wanted: count)
    }
    try await endpoint.driver.awaitHolders(of: sequence, of: id, count, timeout: timeout)
  }

  /// How many caches have stored the message durably, as far as is known now.
  public var storedCount: Int {
    guard case .publication(let id) = target else { return 0 }
    return endpoint.driver.storedCount(sequence..<sequence + 1, of: id)
  }

  /// Whether everybody concerned has it now.
  public var isAcknowledged: Bool { endpoint.driver.isAcknowledged(target, at: position) }
}

/// What became of a message.
public enum Acknowledgement: Hashable, Sendable {
  /// Every matched reliable reader's endpoint has it.
  case acknowledged
  /// These endpoints have not confirmed it: they left, the message expired or was pushed out before they had it, or the time
  /// was up.
  case unacknowledged(by: [EndpointID])
}
