/// What happens besides messages. A sequence of its own for each reader; it ends when the endpoint is shut down.
public struct Events: AsyncSequence, Sendable {
  private let reader: Reader

  init(endpoint: Endpoint, queue: EventQueue) {
    reader = Reader(endpoint: endpoint, queue: queue)
  }

  /// The events from the making of the sequence on.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

  /// Takes one event after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let reader: Reader

    /// Waits for the next event. `nil` when the endpoint is shut down or the task is cancelled.
    public func next() async -> Event? { await reader.queue.next() }

    /// Waits for the next event. `nil` when the endpoint is shut down or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> Event? {
      await reader.queue.next(isolation: actor)
    }
  }

  /// Stops the reading when the last copy of the sequence and its iterators is gone.
  fileprivate final class Reader: Sendable {
    let endpoint: Endpoint
    let queue: EventQueue

    init(endpoint: Endpoint, queue: EventQueue) {
      self.endpoint = endpoint
      self.queue = queue
    }

    deinit { endpoint.driver.removeEventReader(queue) }
  }
}
