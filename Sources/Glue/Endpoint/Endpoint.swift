import GlueCore
import GlueNetwork
import Logging

/// One participant: publishes and subscribes, finds its peers by itself, needs no broker.
///
/// ```swift
/// let endpoint = try await Endpoint(.fromEnvironment())
/// try await endpoint.start()
/// for await message in try endpoint.subscribe(to: "some_topic", type: "some_type") {
///   print("\(message.publisher.name) said \(message.text)")
/// }
/// ```
///
/// An endpoint runs from ``start()`` to ``shutdown(timeout:)``, once. ``run()`` does both, for
/// [swift-service-lifecycle](https://github.com/swift-server/swift-service-lifecycle); ``withEndpoint(_:_:)`` does both
/// for a script. Topics can be published and subscribed before the start. When the last reference to an endpoint, its
/// publications, subscriptions and receipts is gone, it leaves without waiting for acknowledgements.
///
/// All methods can be called from any thread and task.
public final class Endpoint: Sendable {
  /// The endpoint ID: the service role.
  public let id: EndpointID
  /// The endpoint name: the instance.
  public let name: String
  /// This life of the endpoint.
  public var incarnation: Incarnation { driver.incarnation }
  /// What it was made with, with the identity filled in.
  public let configuration: Configuration

  let driver: Driver
  /// Reads the key file again when it changes.
  private let keyFileTask: Task<Void, Never>?

  /// Makes an endpoint: checks the configuration, and chooses identity and network interface. Nothing is sent before
  /// ``start()``.
  ///
  /// - Parameter configuration: The settings; `.fromEnvironment()` reads those of the environment.
  /// - Throws: ``ConfigurationError`` if a setting cannot be used; ``EndpointFailure/network(_:)`` if the system has no
  ///   sockets for us.
  public init(_ configuration: Configuration) async throws {
    // Before the file is read, or a change meanwhile would go unnoticed.
    let keyFileStamp = configuration.keyFile?.stamp()
    let settings = try configuration.completed()
    let plan: SocketPlan
    do {
      plan = try SocketPlan(settings, on: .current())
    } catch let error as NetworkError {
      throw EndpointFailure.network("\(error)")
    }
    // The addresses as they were given, with their scopes.
    var completed = settings
    completed.discoveryTarget = configuration.discoveryTarget
    completed.discoveryListenAddress = configuration.discoveryListenAddress
    completed.listenAddress = configuration.listenAddress
    self.configuration = completed
    let driver = try Driver(settings, plan: plan)
    self.driver = driver
    id = driver.coreConfiguration.id
    name = driver.coreConfiguration.name
    keyFileTask = settings.keyFile.map { file in
      Task { [weak driver] in await Driver.followKeyFile(file, readAt: keyFileStamp) { driver } }
    }
    for variable in configuration.unknownVariables {
      driver.log.logger.warning(
        "unknown setting in the environment, misspelled?", metadata: ["variable": .string(variable)])
    }
    if let file = settings.keyFile { driver.warnOfReaders(of: file) }
    if settings.networkKeys.isEmpty {
      driver.log.logger.notice("the network has no key: everybody in it can read and publish everything")
    }
  }

  deinit {
    keyFileTask?.cancel()
    driver.abandon()
  }

  /// Opens the sockets and begins to announce this endpoint.
  ///
  /// - Throws: ``EndpointFailure/alreadyStarted``, ``ConfigurationError`` if an address or port that was set cannot be used, or
  ///   ``EndpointFailure/network(_:)`` if the system has no sockets for us.
  public func start() async throws {
    try driver.start()
  }

  /// Shuts down: takes no more messages, waits until what was published is acknowledged, says goodbye, and closes. Does
  /// nothing more if the endpoint is shut down already. Cancelling the task does not interrupt it.
  ///
  /// - Parameter timeout: How long to wait for acknowledgements.
  public func shutdown(timeout: Duration = .seconds(2)) async {
    await driver.shutdown(timeout: timeout)
  }

  /// Why the endpoint has stopped by itself; `nil` while it has not.
  public var failure: EndpointFailure? { driver.failure }

  /// The peers there are now, by endpoint ID.
  public var peers: [Peer] { driver.peers() }

  /// Which network interfaces this endpoint uses now, which it does not, and why.
  public var interfaceChoice: InterfaceChoice { driver.interfaceChoice }

  /// Whether announcements by multicast get through, as all peers together show it.
  public var multicast: MulticastReport { driver.multicast() }

  /// What happens besides messages, from now on. Each access makes a new sequence, which holds at most
  /// ``Configuration/eventQueueLimit`` events for a slow reader. It ends when the endpoint is shut down.
  public var events: Events { Events(endpoint: self, queue: driver.addEventReader()) }

  /// Counters by name, in a stable order: what was sent, received and dropped, and why. They only grow.
  public var counters: [(name: String, value: UInt64)] { driver.counters() }

  /// Takes other network keys from now on: the first one seals what this endpoint sends, all of them open what it receives.
  ///
  /// To change the key of a running network give first every endpoint the new key as a second one, then every endpoint the
  /// new one first, then every endpoint the new one alone. Nothing is lost, and no peer is, if no step begins before the one
  /// before has been taken everywhere.
  ///
  /// - Throws: ``ConfigurationError`` unless there are 1 … ``Configuration/maximumNetworkKeys`` keys, or if the endpoint was
  ///   made without a key: whether a network has one cannot change while it runs.
  public func changeNetworkKeys(to keys: [NetworkKey]) throws(ConfigurationError) {
    guard (1...Configuration.maximumNetworkKeys).contains(keys.count), !configuration.networkKeys.isEmpty else {
      throw ConfigurationError(
        name: "networkKeys", value: "\(keys)",
        expectation: "1 to \(Configuration.maximumNetworkKeys) keys, in a network that had one from the start")
    }
    driver.changeNetworkKeys(to: keys)
  }

  /// Waits until every peer known now has told all its subscriptions, so that what is published next overlooks none of
  /// them. Returns at once if there are no peers.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, ``EndpointFailure/stopped`` or `CancellationError`.
  public func awaitKnownSubscriptions(timeout: Duration? = nil) async throws {
    let outcome = await driver.wait(for: .interest, timeout: timeout) { $0.machine.knowsAllSubscriptions }
    try outcome.check(waitingFor: "the subscriptions of all peers", failure: failure)
  }
}
