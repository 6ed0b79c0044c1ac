import Logging

extension Endpoint {
  /// Everything an endpoint can be told. A new value has the defaults; ``fromEnvironment(_:)`` reads the `GLUE_`
  /// variables.
  public struct Configuration: Sendable {
    /// The partition this endpoint belongs to (`GLUE_NETWORK_ID`). Endpoints of different networks ignore each other.
    /// Default: 1.
    public var networkID: UInt64 = 1
    /// The keys of the network (`GLUE_NETWORK_KEY`, `GLUE_NETWORK_KEY_FILE`), at most ``maximumNetworkKeys``: the first one
    /// seals what this endpoint sends, all of them open what it receives. Default: none, everybody can read and take part.
    /// See ``Endpoint/changeNetworkKeys(to:)``.
    public var networkKeys: [NetworkKey] = []
    /// A file with the keys, one in each line (`GLUE_NETWORK_KEY_FILE`), which is read when the endpoint is made, and again
    /// whenever it changes. Not together with ``networkKeys``. Default: `nil`.
    public var networkKeyFile: String?
    /// As many keys are accepted at a time: a change needs two, and each one costs an attempt for datagrams that are not ours.
    public static let maximumNetworkKeys = 4
    /// The endpoint ID, not 0 (`GLUE_ENDPOINT_ID`): the service role, constant across reboots. Default: `nil`, random at
    /// every start; receivers then take a restarted program for another one.
    public var endpointID: EndpointID?
    /// The endpoint name, 1 … 256 bytes of UTF-8 (`GLUE_ENDPOINT_NAME`): the instance. Unique in the network. Default:
    /// `nil`, derived from the program's name, the process and chance.
    public var endpointName: String?
    /// Where this endpoint receives data (`GLUE_LISTEN_ADDRESS`). Default: `nil`, the wildcard addresses of IPv4 and
    /// IPv6 and a port that the system chooses. A fixed port helps with firewalls and serves one endpoint per host.
    ///
    /// This and the other two addresses decide about the family: an endpoint with an IPv4 address among them uses IPv4
    /// only, one with an IPv6 address IPv6 only, and without any it uses what ``listenInterfaces`` have. A link-local
    /// address without a scope is meant on that interface; one with a scope chooses it. It goes with one interface only.
    public var listenAddress: SocketAddress?
    /// The network interfaces for multicast (`GLUE_LISTEN_INTERFACE`): names with commas between them, for example
    /// `eth0,wlan0`, or `all`. Announcements leave by each of them and are heard on each; data goes by unicast, wherever the
    /// host's routes lead. Default: that of the default route. ``Event/interfaces(_:)`` tells which are used, and why.
    public var listenInterfaces: InterfaceSelection = .defaultRoute
    /// Whom this endpoint announces itself to (`GLUE_DISCOVERY_TARGET_ADDRESS`). Default: the multicast groups
    /// 239.192.137.1:27320 and [ff12::efc0:8901]:27320.
    public var discoveryTarget: DiscoveryTarget = .standard
    /// Where this endpoint listens for announcements (`GLUE_DISCOVERY_LISTEN_ADDRESS`). Default: `nil`, the discovery
    /// target if that is a group or a broadcast address; the data socket alone if it is a unicast address; the standard
    /// groups and unicast to port 27320 if there is no target. Port 0, any, goes with a unicast target only: nobody else
    /// would know where this endpoint listens.
    public var discoveryListenAddress: SocketAddress?
    /// The time between two announcements, 10 ms … 60 s (`GLUE_DISCOVERY_RATE_MILLISECONDS`). Default: 1 s. A shorter
    /// one finds the dead sooner and costs a datagram each time.
    public var discoveryInterval: Duration = .seconds(1)
    /// After how many intervals without a sign of life a peer is removed, at least 1
    /// (`GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER`). Default: 5. A smaller one finds the dead sooner, and sooner takes the
    /// living for dead.
    public var discoveryTimeoutMultiplier: Double = 5
    /// Whether this endpoint passes on datagrams between peers that do not hear each other (`GLUE_RELAY`). It takes no part in
    /// what these say. Default: `true`. Without it, two that have no other peer in common get nothing from each other.
    public var relays = true
    /// Whether what is published goes to several subscribers by one multicast datagram (`GLUE_MULTICAST_DATA`), where that is announced to a
    /// multicast group on one interface that is no radio, and they hear it. Default: `true`. Without it each gets a datagram of its own, as everywhere else:
    /// for networks whose switches send multicast to everybody, or to a radio.
    public var multicastsData = true
    /// Bytes asked of the system for received datagrams that wait for this program. Default: 4 MiB. A larger buffer
    /// survives longer pauses and floods; the system may grant less, and peers keep no more than half of it under way.
    public var receiveBufferBytes: Int = 4 << 20
    /// What strangers and peers may cost before, and beside, any session: peers, handshakes, rates of replies.
    public var discoveryLimits = DiscoveryLimits()
    /// Timers and sizes of the transport layer.
    public var transport = TransportConfiguration()
    /// Limits of the topic layer: largest message, number of topics and subscriptions.
    public var topics = TopicsConfiguration()
    /// Where what this endpoint keeps of others is stored as well, so that it is there again after a restart (docs/store.md). It is
    /// loaded when the endpoint is made. Default: `nil`, it is kept in memory only.
    public var store: (any MessageStore)?
    /// How many events an ``Events`` sequence holds for a slow reader; what exceeds it is dropped and counted. Default:
    /// 1024. A larger one takes more memory for a reader that hangs, a smaller one loses sooner what a slow one should know.
    public var eventQueueLimit: Int = 1_024
    /// A callback that takes longer is reported as ``Event/slowCallback(filter:duration:isOver:)``: it may hold up the other
    /// subscriptions of this endpoint, for some 20 ms at most. Default: 10 ms.
    public var slowCallbackThreshold: Duration = .milliseconds(10)
    /// How many threads may be stuck in callbacks, at least 1. Each costs a stack and up to 1 MiB of received data while its
    /// callback goes on. When there are so many, other callbacks wait for one of them, which is an ``Event/limit(name:count:)``;
    /// the rest of the endpoint goes on. Default: 16.
    public var callbackThreadLimit: Int = 16
    /// For how long the endpoint polls for the answer to a message that a callback has published, before its I/O thread sleeps;
    /// zero: not at all. Default: 50 µs, about what sleeping and waking costs. It saves that in conversations whose answers
    /// come at once; where they do not, it is tried ever more rarely. What comes in is not told from an answer: a callback that
    /// publishes what it gets from others, every 50 µs or more often, keeps a processor busy. Without effect on a host with one
    /// processor. At most 1 ms.
    public var answerPollingLimit: Duration = .microseconds(50)
    /// For how long the endpoint's I/O thread polls its sockets before it sleeps (`GLUE_BUSY_POLLING_MICROSECONDS`). Default: zero,
    /// not at all. For programs that have a processor to spare for each endpoint: a message that comes within that time is there some
    /// 10 µs sooner, whoever sends it, since nobody has to be put to sleep and woken; meanwhile the thread takes a whole processor. Longer
    /// than ``discoveryInterval`` it never sleeps. Where there are fewer processors than such threads, and threads that have work, everything
    /// takes longer instead. Without effect on a host with one processor. At most 10 s.
    public var busyPollingTime: Duration = .zero
    /// Where the endpoint logs. Default: a logger labelled `glue` of the program's logging system.
    public var logger = Logger(label: "glue")
    /// Sees every datagram that arrives, for diagnostics. Called under the endpoint's lock: it must be quick, and must not
    /// use the endpoint.
    package var onDatagram: (@Sendable (SightedDatagram) -> Void)?
    /// Environment variables that look like settings but are none; the endpoint warns of them when it is made.
    package var unknownVariables: [String] = []
    /// The name of the interface that an address has as its scope; the addresses themselves then have none any more, since
    /// the interface can come back with another number.
    var linkName: String?
    /// The settings that came from the environment, so that errors name the variable rather than the field.
    var environmentSettings: Set<Setting> = []

    /// The defaults.
    public init() {}
  }
}

/// Whom an endpoint announces itself to.
public enum DiscoveryTarget: Hashable, Sendable {
  /// The multicast groups ``standardGroup`` and ``standardGroupV6``, port ``standardPort``: whichever of the two families
  /// this endpoint uses.
  case standard
  /// A multicast group, a broadcast address, or one endpoint that passes on what it knows (the rendezvous).
  case address(SocketAddress)
  /// Nobody: this endpoint waits to be found. Others name its address, port 27320, as their target.
  case nobody

  /// The port on which endpoints find each other.
  public static let standardPort: UInt16 = 27320
  /// The IPv4 multicast group in which endpoints find each other, 239.192.137.1.
  public static let standardGroup = IPAddress(v4: 0xEFC0_8901)
  /// The IPv6 multicast group in which endpoints find each other, ff12::efc0:8901, on the link of the chosen interface.
  public static let standardGroupV6 = IPAddress(v6High: 0xFF12 << 48, low: 0xEFC0_8901)
}
