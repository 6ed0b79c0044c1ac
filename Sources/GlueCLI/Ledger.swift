import Glue

/// Keeps account of who has not acknowledged what `glue pub` has published.
///
/// Acknowledgement is cumulative within a stream: one receipt speaks for all before it. So it is enough to wait for the
/// newest one again and again; who leaves meanwhile is named by the receipt that was waited for.
final class Ledger: Sendable {
  private struct State {
    var first: Receipt?
    var last: Receipt?
    var published = 0
    /// Who has not acknowledged, with the number of the last message concerned; in the order in which it was noticed.
    var missing: [(id: EndpointID, sequence: UInt64)] = []
  }

  private let state = Shared(State())
  private let newest: AsyncStream<Receipt>
  private let continuation: AsyncStream<Receipt>.Continuation

  init() {
    (newest, continuation) = AsyncStream.makeStream(of: Receipt.self, bufferingPolicy: .bufferingNewest(1))
  }

  /// How many messages were published.
  var published: Int { state.value.published }

  /// Enters a message.
  func add(_ receipt: Receipt) {
    state.withLock {
      $0.first = $0.first ?? receipt
      $0.last = receipt
      $0.published += 1
    }
    continuation.yield(receipt)
  }

  /// Follows the acknowledgements until cancelled.
  func watch() async {
    for await receipt in newest {
      let outcome = await receipt.acknowledged()
      if Task.isCancelled { return }
      note(outcome, of: receipt)
    }
  }

  /// Waits for what is outstanding; then tells who has not acknowledged up to which message.
  func missing(timeout: Duration) async -> [(id: EndpointID, sequence: UInt64)] {
    if let last = state.value.last { note(await last.acknowledged(timeout: timeout), of: last) }
    return state.value.missing
  }

  /// Waits until so many stores have everything, or, where only the last messages are kept, the last one: they are stored in order.
  func awaitStored(by count: Int, on topic: String, keeping history: HistoryPolicy, timeout: Duration) async throws {
    var (first, last) = state.withLock { ($0.first, $0.last) }
    switch history {
    case .last, .retained: first = last
    case .untilExpiry, .none: break
    }
    guard let first, let last else { return }
    do {
      try await last.stored(by: count, since: first, timeout: timeout)
    } catch EndpointFailure.notStored(_, let stores, _) {
      throw CommandFailure("messages on \(topic) are stored by \(stores) of \(count) caches after \(timeout)")
    }
  }

  /// Waits until somebody else holds the last value.
  func awaitHolder(on topic: String, timeout: Duration) async throws {
    guard let last = state.value.last else { return }
    do {
      try await last.held(by: 1, timeout: timeout)
    } catch EndpointFailure.notHeld {
      throw CommandFailure(
        "nobody else has told within \(timeout) that he holds this value of \(topic), or that it is cleared; a glue cache with room for it would"
      )
    } catch EndpointFailure.superseded {
      throw CommandFailure("the value of \(topic) is superseded by a higher one of another publisher")
    }
  }

  private func note(_ outcome: Acknowledgement, of receipt: Receipt) {
    guard case .unacknowledged(let peers) = outcome else { return }
    state.withLock { state in
      for peer in peers {
        state.missing.removeAll { $0.id == peer }
        state.missing.append((peer, receipt.sequence))
      }
    }
  }
}
