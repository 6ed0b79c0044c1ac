import GlueAddress

/// Everything the core of an endpoint can be told. Small structs with defaults, one per layer.
public struct EndpointConfiguration: Sendable {
  /// The partition this endpoint belongs to; endpoints of different networks ignore each other.
  public var networkID: UInt64 = 1
  /// The endpoint ID: the service role. Not 0.
  public var id: EndpointID
  /// The endpoint name: the instance, 1 … 256 bytes.
  public var name: String
  /// The keys of the network: the first one seals what this endpoint sends, all of them open what it receives. Empty: the
  /// network is open.
  public var keys: [NetworkKey] = []
  /// Bytes of the socket receive buffer that datagrams arrive in; peers keep less than that in flight.
  public var receiveBufferBytes: Int = 212_992
  /// Those of the discovery targets to which data can be sent once for several peers that hear it: multicast groups on one link, where multicast
  /// is as fast as unicast. Empty: each gets a datagram of its own.
  public var dataGroups: [SocketAddress] = []
  /// The store to which what is kept of others is written as well; nil: it is in memory only.
  public var store: StoreID?
  /// How peers are found and kept.
  public var discovery: DiscoveryConfiguration = DiscoveryConfiguration()
  /// How data is carried.
  public var transport: TransportConfiguration = TransportConfiguration()
  /// Limits on topics, subscriptions and messages.
  public var topics: TopicsConfiguration = TopicsConfiguration()

  /// A configuration with defaults in all but the identity.
  public init(id: EndpointID, name: String) {
    self.id = id
    self.name = name
  }
}
