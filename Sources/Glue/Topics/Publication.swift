import GlueCore

/// A topic on which this endpoint publishes: a handle, cheap to copy.
public struct Publication: Sendable {
  let endpoint: Endpoint
  let id: PublicationID
  /// The topic's name.
  public let topic: String
  /// The topic's type, if it has one.
  public let type: String?
  /// How messages are carried.
  public let settings: TopicSettings

  /// Publishes a text. Returns when the message is admitted: it then has its place in the stream, and leaves at once.
  ///
  /// - Parameters:
  ///   - text: The payload.
  ///   - expiry: How long the message lives; it is not delivered later. `nil`: for ever.
  ///   - attributes: Facts about the message that travel with it.
  /// - Returns: A receipt that tells when the message has arrived.
  /// - Throws: ``EndpointFailure``; `CancellationError` if the task is cancelled while it waits for room.
  @discardableResult
  public func publish(
    _ text: String, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) async throws -> Receipt {
    if let receipt = try tryPublish(text, expiry: expiry, attributes: attributes) { return receipt }
    return try await publishWhenWritable([UInt8](text.utf8), expiry: expiry, attributes: attributes)
  }

  /// Publishes bytes. See ``publish(_:expiry:attributes:)-(String,_,_)``.
  @discardableResult
  public func publish(
    _ bytes: [UInt8], expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) async throws -> Receipt {
    if let receipt = try tryPublish(bytes, expiry: expiry, attributes: attributes) { return receipt }
    return try await publishWhenWritable(bytes, expiry: expiry, attributes: attributes)
  }

  /// Publishes bytes in memory, which has to stay valid until the call returns. See
  /// ``publish(_:expiry:attributes:)-(String,_,_)``.
  @discardableResult
  public func publish(
    _ bytes: UnsafeRawBufferPointer, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) async throws -> Receipt {
    if let receipt = try tryPublish(bytes, expiry: expiry, attributes: attributes) { return receipt }
    return try await publishWhenWritable([UInt8](bytes), expiry: expiry, attributes: attributes)
  }

  /// Publishes bytes if that is possible at once; never waits. It may be called in a message callback.
  ///
  /// - Returns: A receipt, or `nil` if there is no room and the settings say to wait for it.
  /// - Throws: ``EndpointFailure``.
  public func tryPublish(
    _ bytes: UnsafeRawBufferPointer, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) throws(EndpointFailure) -> Receipt? {
    let result = try endpoint.driver.publish(
      bytes, on: id, lifetime: expiry, attributes: attributes, whenFull: settings.whenFull.coreBehaviour)
    return receipt(of: result)
  }

  /// Publishes bytes if that is possible at once. See
  /// ``tryPublish(_:expiry:attributes:)-(UnsafeRawBufferPointer,_,_)``.
  public func tryPublish(
    _ bytes: [UInt8], expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) throws(EndpointFailure) -> Receipt? {
    // The standard library's `withUnsafeBytes` has no typed throws.
    let result: Result<Receipt?, EndpointFailure> = bytes.withUnsafeBytes { buffer in
      Result { () throws(EndpointFailure) in try tryPublish(buffer, expiry: expiry, attributes: attributes) }
    }
    return try result.get()
  }

  /// Publishes a text if that is possible at once. See
  /// ``tryPublish(_:expiry:attributes:)-(UnsafeRawBufferPointer,_,_)``.
  public func tryPublish(
    _ text: String, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) throws(EndpointFailure) -> Receipt? {
    var text = text
    let result: Result<Receipt?, EndpointFailure> = text.withUTF8 { utf8 in
      Result { () throws(EndpointFailure) in
        try tryPublish(UnsafeRawBufferPointer(utf8), expiry: expiry, attributes: attributes)
      }
    }
    return try result.get()
  }

  /// Publishes a span of bytes if that is possible at once. See
  /// ``tryPublish(_:expiry:attributes:)-(UnsafeRawBufferPointer,_,_)``.
  public func tryPublish(
    _ bytes: RawSpan, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) throws(EndpointFailure) -> Receipt? {
    try bytes.withUnsafeBytes { (buffer) throws(EndpointFailure) in
      try tryPublish(buffer, expiry: expiry, attributes: attributes)
    }
  }

  /// Publishes that the topic, which retains its last value, has none any more. Subscribers get a message without a payload, whose
  /// ``Message/isCleared`` says so. It is remembered for seven days: a cache that is away for longer brings the value back that it has.
  ///
  /// - Returns: A receipt, of which ``Receipt/held(by:timeout:)`` tells whether the value is gone everywhere for good.
  /// - Throws: ``EndpointFailure/notRetained(topic:)``; otherwise as ``publish(_:expiry:attributes:)-(String,_,_)``.
  @discardableResult
  public func clear() async throws -> Receipt { try await publish([UInt8](), attributes: .clearing) }

  /// Waits until all peers have told which value of the topic they hold, if it retains its last one: what is published then is
  /// higher, even if this host's clock is behind. Endpoints that are met later may still have a higher one.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, ``EndpointFailure/stopped`` or `CancellationError`.
  public func awaitValue(timeout: Duration? = nil) async throws {
    let outcome = await endpoint.driver.wait(for: .topicValue, timeout: timeout) { [id] in
      $0.machine.knowsValue(of: id)
    }
    try outcome.check(waitingFor: "the value of \(topic)", failure: endpoint.failure)
  }

  /// How many other endpoints have a subscription that matches now.
  public var matchedSubscribers: Int { endpoint.driver.matchedSubscribers(of: id) }

  /// Waits until at least so many other endpoints have a subscription that matches. What is published then reaches them
  /// all.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, ``EndpointFailure/stopped`` or `CancellationError`.
  public func awaitSubscribers(_ count: Int, timeout: Duration? = nil) async throws {
    let outcome = await endpoint.driver.wait(for: .matched(id), timeout: timeout) { [id] in
      $0.machine.matchedSubscribers(of: id) >= count
    }
    try outcome.check(waitingFor: "\(count) subscribers of \(topic)", failure: endpoint.failure)
  }

  /// Gives up this handle. With the last one of a topic the publication ends, as soon as everything is acknowledged.
  /// Each handle that ``Endpoint/publication(_:type:_:)`` returned is closed at most once.
  public func close() { endpoint.driver.closePublication(id) }

  /// Waits for room, at most as long as the settings say, then makes it at the lagging reader's expense.
  private func publishWhenWritable(
    _ bytes: [UInt8], expiry: Duration?, attributes: Attributes
  ) async throws -> Receipt {
    let (sequence, position) = try await endpoint.driver.publishWhenWritable(
      bytes, on: id, lifetime: expiry, attributes: attributes, timeout: settings.whenFull.timeout)
    return Receipt(endpoint: endpoint, target: .publication(id), sequence: sequence, position: position)
  }

  private func receipt(of result: PublishResult) -> Receipt? {
    switch result {
    case .admitted(let sequence, let position):
      Receipt(endpoint: endpoint, target: .publication(id), sequence: sequence, position: position)
    case .full: nil
    }
  }
}

extension TopicSettings.WhenFull {
  var coreBehaviour: FullBufferBehaviour {
    switch self {
    case .block: .refuse
    case .dropOldest: .dropOldest
    case .latest: .keepLatest
    }
  }

  var timeout: Duration {
    switch self {
    case .block(let timeout): timeout
    case .dropOldest, .latest: .zero
    }
  }
}

/// A topic on which this endpoint publishes values: a handle, cheap to copy.
public struct TypedPublication<Value: Codable & Sendable>: Sendable {
  /// The publication of the encoded values.
  public let publication: Publication
  let coding: any PayloadCoding

  /// Publishes a value. See ``Publication/publish(_:expiry:attributes:)-(String,_,_)``.
  ///
  /// - Throws: Also ``EndpointFailure/notEncodable(reason:)``.
  @discardableResult
  public func publish(
    _ value: Value, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) async throws -> Receipt {
    try await publication.publish(try encode(value), expiry: expiry, attributes: attributes)
  }

  /// Publishes a value if that is possible at once. See
  /// ``Publication/tryPublish(_:expiry:attributes:)-(UnsafeRawBufferPointer,_,_)``.
  ///
  /// - Throws: Also ``EndpointFailure/notEncodable(reason:)``.
  public func tryPublish(
    _ value: Value, expiry: Duration? = nil, attributes: Attributes = Attributes()
  ) throws(EndpointFailure) -> Receipt? {
    try publication.tryPublish(try encode(value), expiry: expiry, attributes: attributes)
  }

  /// See ``Publication/clear()``. A ``TypedSubscription`` skips it, as it is no value.
  @discardableResult
  public func clear() async throws -> Receipt { try await publication.clear() }

  /// See ``Publication/awaitValue(timeout:)``.
  public func awaitValue(timeout: Duration? = nil) async throws { try await publication.awaitValue(timeout: timeout) }

  /// How many other endpoints have a subscription that matches now.
  public var matchedSubscribers: Int { publication.matchedSubscribers }

  /// See ``Publication/awaitSubscribers(_:timeout:)``.
  public func awaitSubscribers(_ count: Int, timeout: Duration? = nil) async throws {
    try await publication.awaitSubscribers(count, timeout: timeout)
  }

  /// See ``Publication/close()``.
  public func close() { publication.close() }

  private func encode(_ value: Value) throws(EndpointFailure) -> [UInt8] {
    do {
      return try coding.encode(value)
    } catch {
      throw EndpointFailure.notEncodable(reason: "\(error)")
    }
  }
}
