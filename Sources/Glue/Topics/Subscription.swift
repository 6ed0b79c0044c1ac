import GlueCore

/// The messages of all topics that match a filter, in order for each publisher and topic.
///
/// It ends when it is cancelled, or the endpoint is shut down. If several tasks iterate over it, each message goes to one
/// of them.
public final class Subscription: AsyncSequence, Sendable {
  /// The filter that was subscribed to.
  public let filter: String
  private let endpoint: Endpoint
  private let queue: DeliveryQueue

  init(endpoint: Endpoint, filter: String, queue: DeliveryQueue) {
    self.endpoint = endpoint
    self.filter = filter
    self.queue = queue
  }

  deinit { cancel() }

  /// Ends the subscription; messages that were not taken are gone.
  public func cancel() { endpoint.driver.cancel(queue) }

  /// The messages from now on.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

  func report(undecodable message: Message, _ error: any Error) {
    endpoint.driver.broadcast(
      .undecodable(
        topic: message.topic, publisher: message.publisher, sequence: message.sequence, reason: "\(error)"))
  }

  /// Takes one message after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let subscription: Subscription

    /// Waits for the next message. `nil` when the subscription has ended or the task is cancelled.
    public func next() async -> Message? {
      await subscription.queue.next(driver: subscription.endpoint.driver)
    }

    /// Waits for the next message. `nil` when the subscription has ended or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> Message? {
      await subscription.queue.next(driver: subscription.endpoint.driver, isolation: actor)
    }
  }
}

/// The values of all topics that match a filter, in order for each publisher and topic.
public struct TypedSubscription<Value: Codable & Sendable>: AsyncSequence, Sendable {
  /// The subscription to the encoded values.
  public let subscription: Subscription
  let coding: any PayloadCoding

  /// A value and the message that brought it.
  public struct Element: Sendable {
    /// The value.
    public let value: Value
    /// The message it came in.
    public let message: Message
  }

  /// Ends the subscription; messages that were not taken are gone.
  public func cancel() { subscription.cancel() }

  /// The values from now on.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(messages: subscription.makeAsyncIterator(), coding: coding)
  }

  /// Takes one value after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let messages: Subscription.AsyncIterator
    let coding: any PayloadCoding

    /// Waits for the next value. `nil` when the subscription has ended or the task is cancelled.
    public func next() async -> Element? { await next(isolation: nil) }

    /// Waits for the next value. `nil` when the subscription has ended or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> Element? {
      while let message = await messages.next(isolation: actor) {
        // That there is no value is none.
        if message.isCleared { continue }
        do {
          return Element(value: try coding.decode(Value.self, from: message.bytes), message: message)
        } catch {
          messages.subscription.report(undecodable: message, error)
        }
      }
      return nil
    }
  }
}

/// A subscription whose messages go to a closure.
public struct CallbackSubscription: Sendable {
  // Not the endpoint: a program may drop this handle, and the endpoint with all others.
  let driver: Driver
  let id: SubscriptionID
  let sink: CallbackSink

  /// Ends the subscription; messages that wait for the closure are gone. It is not called any more once this has returned,
  /// except for a call that is going on in a thread of the endpoint. May be called in the closure.
  public func cancel() { driver.cancel(id, sink) }
}

/// The messages that were sent to this endpoint alone, in order for each sender.
public final class DirectMessages: AsyncSequence, Sendable {
  private let endpoint: Endpoint
  private let queue: DeliveryQueue

  init(endpoint: Endpoint, queue: DeliveryQueue) {
    self.endpoint = endpoint
    self.queue = queue
  }

  deinit { cancel() }

  /// Takes no more messages.
  public func cancel() { endpoint.driver.cancel(queue) }

  /// The messages from now on.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(messages: self) }

  /// Takes one message after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let messages: DirectMessages

    /// Waits for the next message. `nil` when the endpoint is shut down or the task is cancelled.
    public func next() async -> Message? {
      await messages.queue.next(driver: messages.endpoint.driver)
    }

    /// Waits for the next message. `nil` when the endpoint is shut down or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> Message? {
      await messages.queue.next(driver: messages.endpoint.driver, isolation: actor)
    }
  }
}
