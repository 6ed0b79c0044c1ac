import Glue
import GlueAddress

/// All that the checks look at. Gathering it is one thing (``DoctorHost``, ``Examination``), judging it another
/// (``DoctorChecks``), so that every judgement can be tested without a network.
struct DoctorFacts: Sendable {
  var settings = Settings()
  var host = Host()
  var path = Path()

  /// What the environment says.
  struct Settings: Sendable {
    /// Whom an endpoint with these settings announces itself to.
    enum Target: Hashable, Sendable {
      case group
      case broadcast
      case endpoint(String)
      case nobody
    }

    var networkID: UInt64 = 1
    /// Of each network key, the one that seals first; empty in an open network.
    var keyFingerprints: [String] = []
    /// The file with the keys, and who beside its owner can read it.
    var keyFile: String?
    var keyFileReaders: String?
    var endpointID: UInt64?
    var endpointName: String?
    /// Whether a setting tells which interfaces to use.
    var choosesInterface = false
    var target = Target.group
    /// Of which address families there are groups.
    var groupFamilies: Set<IPAddress.Family> = [.v4, .v6]
    /// Nobody else is expected to be there.
    var isAlone = false

    var hasKey: Bool { !keyFingerprints.isEmpty }
  }

  /// What one host can know of itself.
  struct Host: Sendable {
    var interfaces: [Interface] = []
    /// Which of them is used, or waited for; of several the first. Nil if there is none.
    var chosen: String?
    /// The others that are used.
    var alsoUsed: [String] = []
    /// What is waited for beside those that are used, and why.
    var awaited: [String] = []
    /// Why that one, and how it stands, in words; empty if there was no endpoint to choose.
    var choice = ""
    var obstacle: Obstacle?
    /// There is no default route, and no setting.
    var isOnlyLoopback = false
    var receiveBufferAsked = 4 << 20
    var receiveBufferGranted = 4 << 20
    /// Linux's `net.core.rmem_max`.
    var receiveBufferMaximum: Int?
    /// An address that Glue needs and another program has for itself.
    var takenPort: String?
    /// Why the endpoint could not start.
    var startFailure: String?
    var firewall = Firewall()
    /// Whether Linux drops packets whose sender it would answer by another interface (`rp_filter` 1).
    var isReversePathStrict = false

    /// The interfaces that are used, in the system's order; none while the first is waited for.
    var used: [Interface] { obstacle == nil ? interfaces.filter { uses($0.name) } : [] }

    func uses(_ name: String) -> Bool { name == chosen || alsoUsed.contains(name) }

    enum Obstacle: Hashable, Sendable { case missing, down, noAddress }
  }

  /// A network interface.
  struct Interface: Hashable, Sendable {
    var name: String
    var addresses: [IPAddress] = []
    var mtu = 1_500
    var isUp = true
    var isLoopback = false
    var supportsMulticast = true

    /// Whether endpoints could be reached by it.
    var isCandidate: Bool { isUp && !isLoopback && !addresses.isEmpty }
    /// What the name says about where it leads; nil for an ordinary one.
    var kind: HostInterface.VirtualKind? { HostInterface.VirtualKind(name: name) }
    var text: String {
      "\(name) (\(addresses.isEmpty ? "no address" : addresses.map(\.description).joined(separator: ", ")))"
    }
  }

  /// What could be read of the host's packet filters.
  struct Firewall: Hashable, Sendable {
    /// A rule that may drop what Glue needs.
    struct Rule: Hashable, Sendable {
      /// Where it stands and what it says.
      var text: String
      /// A command that lets Glue's datagrams pass before it.
      var command: String
    }

    var rules: [Rule] = []
    /// Filters that are there and could not be read, and why.
    var unread: [String] = []
    /// Which front ends are installed: `ufw`, `firewall-cmd`.
    var frontEnds: [String] = []
  }

  /// What was heard and measured.
  struct Path: Sendable {
    /// How long; zero if there was no endpoint to hear with.
    var seconds = 0.0
    /// Which of this host's own multicast came back, by interface.
    var ownMulticast: [String: Set<IPAddress.Family>] = [:]
    /// The interfaces by which multicast of others came.
    var heardOn: Set<String> = []
    /// What the system said when datagrams were sent.
    var sendErrors: [String] = []
    var peers: [Peer] = []
    /// Peers to which the path was not measured, as there are so many.
    var unmeasured = 0
    /// Whether more was seen than is kept.
    var isIncomplete = false
    /// Endpoints of this network that were heard by multicast and never became peers.
    var strangers: [Stranger] = []
    /// How many endpoints are heard of each other open network.
    var otherNetworks: [UInt64: Int] = [:]
    /// How many endpoints are heard of other networks that have a key.
    var otherSealedNetworks = 0
    var keyMismatches: [KeyMismatch] = []
    /// Endpoints that speak other versions, in words.
    var incompatible: [String] = []
    /// Clashes among others while the examination lasted, in words.
    var idClashes: [String] = []
    var nameClashes: [String] = []
    var topics: [Topic] = []
    /// Interfaces that are not used and on which endpoints of this network were heard, with their addresses.
    var elsewhere: [String: [String]] = [:]
    var target: Target?
    /// With a unicast target: whether the peers were also found by multicast; nil if that was not tried.
    var isMulticastAlsoWorking: Bool?
  }

  /// Another endpoint, with a session.
  struct Peer: Hashable, Sendable {
    /// `kitchen (17 at 192.168.1.4:40000)`.
    var text: String
    var id: UInt64
    var name: String
    var address: IPAddress
    var isOnThisHost = false
    /// Seconds since it became a peer, and between its announcements.
    var age = 5.0
    var interval = 1.0
    var announcesToGroup = true
    /// Multicast announcements of it that arrived at all, and that should by now tell that it hears this endpoint.
    var groupArrivals = 4
    var tellingArrivals = 3
    /// Whether they say so.
    var hearsUs = true
    var roundTripMilliseconds: Double?
    var pathBytes = 1_472
    /// By size, the smallest first.
    var echoes: [Echoes] = []
    var clockLeadSeconds: Double?
    var subscriptions: [Subscription] = []
  }

  struct Echoes: Hashable, Sendable {
    var bytes: Int
    var sent: Int
    var answered: Int
    /// Lost, from 0 to 1.
    var loss: Double { sent == 0 ? 0 : 1 - Double(answered) / Double(sent) }
  }

  struct Subscription: Hashable, Sendable {
    var filter: String
    var type: String?
  }

  /// A topic that a peer publishes.
  struct Topic: Hashable, Sendable {
    var name: String
    var type: String?
    /// The publisher's endpoint ID.
    var publisher: UInt64
  }

  struct Stranger: Hashable, Sendable {
    var id: UInt64
    var address: String
    /// Whether anything came from it by unicast.
    var isHeardByUnicast: Bool
  }

  struct KeyMismatch: Hashable, Sendable {
    enum Kind: Hashable, Sendable { case otherKey, sealed, open }
    var kind: Kind
    var address: String
  }

  /// What became of a probe to the one endpoint that the settings name.
  enum Target: Hashable, Sendable {
    /// Its host says that nobody listens there.
    case refused
    /// The system says that there is no way there, in its words.
    case unreachable(String)
    case silent
  }
}

extension HostInterface.VirtualKind {
  /// For example `a VPN`.
  var text: String {
    switch self {
    case .tunnel: "a VPN"
    case .guests: "containers or virtual machines"
    case .system: "the system itself"
    }
  }
}
