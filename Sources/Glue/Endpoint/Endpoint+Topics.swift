import GlueCore

extension Endpoint {
  // MARK: Publishing

  /// Opens a publication. Opening the same topic again gives another handle to the same stream.
  ///
  /// - Parameters:
  ///   - topic: The topic's name, 1 … 256 bytes, without `+` and `#`.
  ///   - type: The topic's type; subscribers that name another one get nothing.
  ///   - settings: How messages are carried.
  /// - Throws: ``EndpointFailure`` if the name is invalid, the topic is published with another type, reliability or history, or
  ///   there are too many.
  public func publication(
    _ topic: String, type: String? = nil, _ settings: TopicSettings = TopicSettings()
  ) throws(EndpointFailure) -> Publication {
    let id = try driver.openPublication(topic, type: type, settings)
    return Publication(endpoint: self, id: id, topic: topic, type: type, settings: settings)
  }

  /// Opens a publication of values.
  ///
  /// - Throws: As ``publication(_:type:_:)``.
  public func publication<Value>(
    _ topic: Topic<Value>, _ settings: TopicSettings = TopicSettings()
  ) throws(EndpointFailure) -> TypedPublication<Value> {
    TypedPublication(
      publication: try publication(topic.name, type: topic.type, settings), coding: topic.coding)
  }

  /// Publishes a text. See ``Publication/publish(_:expiry:attributes:)-(String,_,_)``.
  ///
  /// The topic stays published until the endpoint is shut down, with the settings it was opened with, or the default ones.
  ///
  /// - Parameters:
  ///   - text: The payload.
  ///   - topic: The topic's name.
  ///   - type: The topic's type.
  ///   - expiry: How long the message lives; it is not delivered later. `nil`: for ever.
  /// - Returns: A receipt that tells when the message has arrived.
  /// - Throws: ``EndpointFailure``; `CancellationError` if the task is cancelled while it waits for room.
  @discardableResult
  public func publish(
    _ text: String, to topic: String, type: String? = nil, expiry: Duration? = nil
  ) async throws -> Receipt {
    try await implicitPublication(topic, type: type).publish(text, expiry: expiry)
  }

  /// Publishes bytes. See ``publish(_:to:type:expiry:)-(String,_,_,_)``.
  @discardableResult
  public func publish(
    _ bytes: [UInt8], to topic: String, type: String? = nil, expiry: Duration? = nil
  ) async throws -> Receipt {
    try await implicitPublication(topic, type: type).publish(bytes, expiry: expiry)
  }

  /// Publishes bytes in memory, which has to stay valid until the call returns. See
  /// ``publish(_:to:type:expiry:)-(String,_,_,_)``.
  @discardableResult
  public func publish(
    _ bytes: UnsafeRawBufferPointer, to topic: String, type: String? = nil, expiry: Duration? = nil
  ) async throws -> Receipt {
    try await implicitPublication(topic, type: type).publish(bytes, expiry: expiry)
  }

  /// Publishes a value. See ``publish(_:to:type:expiry:)-(String,_,_,_)``.
  ///
  /// - Throws: Also ``EndpointFailure/notEncodable(reason:)``.
  @discardableResult
  public func publish<Value>(
    _ value: Value, to topic: Topic<Value>, expiry: Duration? = nil
  ) async throws -> Receipt {
    let publication = try implicitPublication(topic.name, type: topic.type)
    return try await TypedPublication<Value>(publication: publication, coding: topic.coding)
      .publish(value, expiry: expiry)
  }

  private func implicitPublication(_ topic: String, type: String?) throws(EndpointFailure) -> Publication {
    let id = try driver.implicitPublication(topic, type: type)
    return Publication(endpoint: self, id: id, topic: topic, type: type, settings: TopicSettings())
  }

  // MARK: Subscribing

  /// Subscribes to all topics that match a filter, as a sequence of messages.
  ///
  /// - Parameters:
  ///   - filter: A topic's name, or a filter by MQTT's rules: `+` stands for one level, `#` at the end for all the rest.
  ///   - type: Only topics of this type; a topic of another type is an event. `nil`: all types.
  ///   - history: What is wanted of what was published before. It comes first, in the order of each stream, from the publisher or
  ///     whoever else holds it.
  ///   - buffering: What happens to messages that arrive faster than they are taken.
  /// - Returns: The messages. Those published from now on are among them also if the publisher is met only later, as far as its topic
  ///   keeps them. The subscription ends with ``Subscription/cancel()``, or when the last
  ///   reference to it is gone.
  /// - Throws: ``EndpointFailure`` if the filter is invalid, there are too many, or the endpoint is shut down.
  public func subscribe(
    to filter: String, type: String? = nil, history: HistoryRequest = .none, buffering: Buffering = .default
  ) throws(EndpointFailure) -> Subscription {
    let queue = try driver.subscribe(to: filter, type: type, history: history, buffering: buffering)
    return Subscription(endpoint: self, filter: filter, queue: queue)
  }

  /// Subscribes to topics of values. A message that is no such value is skipped and reported as
  /// ``Event/undecodable(topic:publisher:sequence:reason:)``.
  ///
  /// - Throws: As ``subscribe(to:type:history:buffering:)``.
  public func subscribe<Value>(
    to topic: Topic<Value>, history: HistoryRequest = .none, buffering: Buffering = .default
  ) throws(EndpointFailure) -> TypedSubscription<Value> {
    TypedSubscription(
      subscription: try subscribe(to: topic.name, type: topic.type, history: history, buffering: buffering),
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
    to filter: String, type: String? = nil, history: HistoryRequest = .none, buffering: Buffering = .default,
    onMessage: @escaping @Sendable (borrowing MessageView) -> Void
  ) throws(EndpointFailure) -> CallbackSubscription {
    let sink = CallbackSink(filter: filter, buffering: buffering, onMessage: onMessage)
    let id = try driver.subscribe(
      to: filter, SubscriptionOptions(type: type, history: history), sink: .callback(sink))
    return CallbackSubscription(driver: driver, id: id, sink: sink)
  }

  // MARK: Direct messages

  /// Sends bytes to one peer, outside of topics. Direct messages are reliable, and in order for each peer.
  ///
  /// - Throws: ``EndpointFailure/unknownPeer(_:)`` if there is no such peer now; other ``EndpointFailure``;
  ///   `CancellationError` if the task is cancelled while it waits for room.
  @discardableResult
  public func send(_ bytes: [UInt8], to peer: EndpointID, expiry: Duration? = nil) async throws -> Receipt {
    let (session, sequence, position) = try await driver.send(bytes, to: peer, lifetime: expiry)
    return Receipt(endpoint: self, target: .direct(peer, session: session), sequence: sequence, position: position)
  }

  /// Sends bytes to the peer with a name. See ``send(_:to:expiry:)``.
  @discardableResult
  public func send(_ bytes: [UInt8], toPeerNamed name: String, expiry: Duration? = nil) async throws -> Receipt {
    guard let peer = peers.first(where: { $0.name == name }) else {
      throw EndpointFailure.unknownPeer("\"\(name)\"")
    }
    return try await send(bytes, to: peer.id, expiry: expiry)
  }

  /// The messages sent to this endpoint alone, from now on; before the first call they are dropped and counted. There is
  /// one reader at a time.
  ///
  /// - Parameter buffering: What happens to messages that arrive faster than they are taken. Direct messages cannot hold
  ///   the sender back yet: ``Buffering/block(bytes:)`` drops the oldest beyond that many bytes.
  /// - Throws: ``EndpointFailure/alreadyReceiving`` if there is a reader, ``EndpointFailure/stopped`` after a shutdown.
  public func receive(buffering: Buffering = .default) throws(EndpointFailure) -> DirectMessages {
    DirectMessages(endpoint: self, queue: try driver.receiveDirect(buffering: buffering))
  }
}
