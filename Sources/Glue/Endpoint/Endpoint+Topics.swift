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
