import GlueCore

extension Endpoint {
  /// Subscribes to all topics that match a filter, as a sequence of messages.
  ///
  /// - Parameters:
  ///   - filter: A topic's name, or a filter by MQTT's rules: `+` stands for one level, `#` at the end for all the rest.
  ///   - type: Only topics of this type; a topic of another type is an event. `nil`: all types.
  ///   - history: What is wanted of what was published before, by default the value of topics that retain their last one. It comes first,
  ///     in the order of each stream, from the publisher or whoever else holds it.
  ///   - buffering: What happens to messages that arrive faster than they are taken.
  /// - Returns: The messages. Those published from now on are among them also if the publisher is met only later, as far as its topic
  ///   keeps them. The subscription ends with ``Subscription/cancel()``, or when the last
  ///   reference to it is gone.
  /// - Throws: ``EndpointFailure`` if the filter is invalid, there are too many, or the endpoint is shut down.
  public func subscribe(
    to filter: String, type: String? = nil, history: HistoryRequest = .retained, buffering: Buffering = .default
  ) throws(EndpointFailure) -> Subscription {
    let queue = try driver.subscribe(to: filter, type: type, history: history, buffering: buffering)
    return Subscription(endpoint: self, filter: filter, queue: queue)
  }

  /// Subscribes to all topics that match a filter, from where it was read before: an earlier process has noted it with
  /// ``ReadPosition/advance(past:)-(Message)`` and saved it.
  ///
  /// What came after that arrives as far as anybody still has it; the rest is ``Event/loss(_:)``. Of streams that were not read before all
  /// that is left arrives, like with ``HistoryRequest/all``. A message that was handled but not noted when the process ended arrives again.
  ///
  /// - Parameters:
  ///   - filter: The filter that the position was made with.
  ///   - position: What was read. An empty one: nothing.
  ///   - type: Only topics of this type; a topic of another type is an event. `nil`: all types.
  ///   - buffering: What happens to messages that arrive faster than they are taken.
  /// - Returns: The messages.
  /// - Throws: As ``subscribe(to:type:history:buffering:)``.
  public func subscribe(
    to filter: String, from position: ReadPosition, type: String? = nil, buffering: Buffering = .default
  ) throws(EndpointFailure) -> Subscription {
    let queue = try driver.subscribe(to: filter, type: type, history: .all, position: position, buffering: buffering)
    return Subscription(endpoint: self, filter: filter, queue: queue)
  }

  /// Subscribes to topics of values. A message that is no such value is skipped and reported as
  /// ``Event/undecodable(topic:publisher:sequence:reason:)``.
  ///
  /// - Throws: As ``subscribe(to:type:history:buffering:)``.
  public func subscribe<Value>(
    to topic: Topic<Value>, history: HistoryRequest = .retained, buffering: Buffering = .default
  ) throws(EndpointFailure) -> TypedSubscription<Value> {
    TypedSubscription(
      subscription: try subscribe(to: topic.name, type: topic.type, history: history, buffering: buffering),
      coding: topic.coding)
  }

  /// Subscribes to topics of values from where they were read before.
  ///
  /// - Throws: As ``subscribe(to:from:type:buffering:)``.
  public func subscribe<Value>(
    to topic: Topic<Value>, from position: ReadPosition, buffering: Buffering = .default
  ) throws(EndpointFailure) -> TypedSubscription<Value> {
    TypedSubscription(
      subscription: try subscribe(to: topic.name, from: position, type: topic.type, buffering: buffering),
      coding: topic.coding)
  }

  /// Subscribes to all topics that match a filter, with a closure that is called for each message.
  ///
  /// This is the fastest way to a message: the closure runs on the endpoint's own thread, one message at a time, and
  /// nothing is copied. It should not block: others of this endpoint may wait for it, for some 20 ms. Then another thread
  /// takes over, and what arrives for this closure waits for it in a queue. It may publish with
  /// ``Publication/tryPublish(_:expiry:attributes:)-(UnsafeRawBufferPointer,_,_)``; such a message leaves when the closure
  /// has returned.
  ///
  /// - Parameters:
  ///   - filter: A topic's name, or a filter.
  ///   - type: Only topics of this type. `nil`: all types.
  ///   - history: What is wanted of what was published before.
  ///   - buffering: What happens to messages that arrive while the closure is stuck.
  ///   - onMessage: Takes a message. Calls do not overlap, but may come from different threads.
  /// - Returns: The subscription, which ends with ``CallbackSubscription/cancel()`` or with the endpoint.
  /// - Throws: As ``subscribe(to:type:history:buffering:)``.
  @discardableResult
  public func subscribe(
    to filter: String, type: String? = nil, history: HistoryRequest = .retained, buffering: Buffering = .default,
    onMessage: @escaping @Sendable (borrowing MessageView) -> Void
  ) throws(EndpointFailure) -> CallbackSubscription {
    try subscribe(to: filter, SubscriptionOptions(type: type, history: history), buffering, onMessage)
  }

  /// Subscribes to all topics that match a filter from where it was read before, with a closure that is called for each message.
  /// See ``subscribe(to:from:type:buffering:)`` and ``subscribe(to:type:history:buffering:onMessage:)``.
  @discardableResult
  public func subscribe(
    to filter: String, from position: ReadPosition, type: String? = nil, buffering: Buffering = .default,
    onMessage: @escaping @Sendable (borrowing MessageView) -> Void
  ) throws(EndpointFailure) -> CallbackSubscription {
    try subscribe(to: filter, SubscriptionOptions(type: type, position: position), buffering, onMessage)
  }

  private func subscribe(
    to filter: String, _ options: SubscriptionOptions, _ buffering: Buffering,
    _ onMessage: @escaping @Sendable (borrowing MessageView) -> Void
  ) throws(EndpointFailure) -> CallbackSubscription {
    let sink = CallbackSink(filter: filter, buffering: buffering, onMessage: onMessage)
    let id = try driver.subscribe(to: filter, options, sink: .callback(sink))
    return CallbackSubscription(driver: driver, id: id, sink: sink)
  }
}
