import GlueAddress
import GlueCore
import GlueModel
import GlueQuorum

// The types of the layers below that appear in this module's interface, so that `import Glue` is all a program needs.

/// A 64-bit number that names an endpoint within its network: the service role.
public typealias EndpointID = GlueCore.EndpointID
/// 64 random bits, new at every start of an endpoint: tells one life of an endpoint ID from the next.
public typealias Incarnation = GlueCore.Incarnation
/// How a topic's messages are carried.
public typealias Reliability = GlueCore.Reliability
/// What of a topic is kept for those who come later.
public typealias HistoryPolicy = GlueCore.HistoryPolicy
/// What a subscription wants of what was published before it began.
public typealias HistoryRequest = GlueCore.HistoryRequest
/// How far somebody has read, to be saved and given to a subscription at the next start.
public typealias ReadPosition = GlueCore.ReadPosition
/// What an endpoint holds of a stream for those who come later: sequence numbers, and bytes.
public typealias HeldMessages = GlueCore.HeldMessages
/// What was published of a stream so far: messages, and bytes.
public typealias PublishedMessages = GlueCore.PublishedMessages
/// An ordered list of a message's attributes: key and value, unknown ones kept.
public typealias Attributes = GlueCore.Attributes
/// Why messages will not arrive.
public typealias LossReason = GlueCore.LossReason
/// Why a peer is a peer no longer.
public typealias PeerRemovalReason = GlueCore.PeerRemovalReason
/// A filter that matches a topic of another type.
public typealias TypeMismatch = GlueCore.TypeMismatch
/// Which of two peers hears the other by multicast or broadcast.
public typealias Hearing = GlueCore.Hearing
/// Whether announcements by multicast get through, as all peers together show it.
public typealias MulticastReport = GlueCore.MulticastReport
/// Somebody of this network has another key, or none.
public typealias KeyMismatch = GlueCore.KeyMismatch
/// A secret that the endpoints of a network share.
public typealias NetworkKey = GlueCore.NetworkKey
/// What strangers and peers may cost before, and beside, any session.
public typealias DiscoveryLimits = GlueCore.DiscoveryLimits
/// Timers and sizes of the transport layer.
public typealias TransportConfiguration = GlueCore.TransportConfiguration
/// Limits of the topic layer.
public typealias TopicsConfiguration = GlueCore.TopicsConfiguration
/// Where an endpoint writes what it keeps of others, so that it outlives the endpoint.
public typealias MessageStore = GlueCore.MessageStore
/// Names a store in 64 random bits.
public typealias StoreID = GlueCore.StoreID
/// What an endpoint's store is to write next.
public typealias StoreBatch = GlueCore.StoreBatch
/// One change of what is stored.
public typealias StoreWrite = GlueCore.StoreWrite
/// What a store holds, as it was found when it was loaded.
public typealias StoredContents = GlueCore.StoredContents
/// An IP address, IPv4 or IPv6.
public typealias IPAddress = GlueAddress.IPAddress
/// An IP address and a port.
public typealias SocketAddress = GlueAddress.SocketAddress

// Of models.

/// Where something is in a model: levels separated by `/`.
public typealias ModelPath = GlueModel.ModelPath
/// A value of a model.
public typealias ModelValue = GlueModel.ModelValue
/// What a path of a model shows, with everything below it.
public typealias ModelNode = GlueModel.ModelNode
/// What a path of a model shows by itself.
public typealias ModelContent = GlueModel.ModelContent
/// What can be at a path of a model.
public typealias ModelKind = GlueModel.ModelKind
/// Something of a model that became different.
public typealias ModelChange = GlueModel.ModelChange
/// What was written concurrently at a path of a model.
public typealias ModelConflict = GlueModel.ModelConflict
/// How a conflict ends.
public typealias ModelResolution = GlueModel.ModelResolution
/// What a path of a model shows where several values were written concurrently.
public typealias ModelPolicy = GlueModel.ModelPolicy
/// Which policy holds where.
public typealias ModelPolicies = GlueModel.ModelPolicies
/// Why a change of a model is refused.
public typealias ModelError = GlueModel.ModelError
/// How large a model may become.
public typealias DocumentLimits = GlueModel.DocumentLimits
/// How a replica behaves towards others, and its limits.
public typealias ReplicaConfiguration = GlueModel.ReplicaConfiguration
/// The limits of a replica of a model, as its events name them.
public typealias ReplicaLimit = GlueModel.ReplicaLimit
/// What a replica tells besides changes.
public typealias ReplicaEvent = GlueModel.ReplicaEvent
/// What a replica has done.
public typealias ReplicaCounters = GlueModel.ReplicaCounters
/// Where a replica is kept beyond the life of a process.
public typealias ModelStore = GlueModel.ModelStore

// Of quorum models.

/// Which entry of a quorum model's log.
public typealias LogIndex = GlueQuorum.LogIndex
/// A period of a quorum model with at most one leader.
public typealias Term = GlueQuorum.Term
/// One quorum model from its founding on.
public typealias ClusterID = GlueQuorum.ClusterID
/// One storage of a quorum model.
public typealias StorageID = GlueQuorum.StorageID
/// A member of a quorum: an endpoint with its storage.
public typealias MemberID = GlueQuorum.MemberID
/// Who decides in a quorum, and who only listens.
public typealias Membership = GlueQuorum.Membership
/// How an opening of a quorum model behaves.
public typealias QuorumConfiguration = GlueQuorum.QuorumConfiguration
/// Times and windows of Raft.
public typealias RaftConfiguration = GlueQuorum.RaftConfiguration
/// What has to hold for a transaction of a quorum model to happen.
public typealias QuorumCondition = GlueQuorum.QuorumCondition
/// Why it was decided that something does not happen.
public typealias QuorumRejection = GlueQuorum.QuorumRejection
/// Why something did not happen that nobody decided about.
public typealias QuorumObstacle = GlueQuorum.QuorumObstacle
/// By which a request can be looked up whose fate is not known.
public typealias QuorumToken = GlueQuorum.QuorumToken
/// What an opening is in a quorum.
public typealias QuorumRole = GlueQuorum.QuorumRole
/// What an opening of a quorum model tells besides results.
public typealias QuorumEvent = GlueQuorum.QuorumEvent
/// Changes of a quorum model that were committed together.
public typealias QuorumChanges = GlueQuorum.QuorumChanges
/// A lock of a quorum model, as everybody sees it.
public typealias QuorumLockState = GlueQuorum.QuorumLockState
/// Where a member of a quorum keeps its log.
public typealias LogDirectory = GlueQuorum.LogDirectory
/// What was not as a clean end leaves it when a storage of a quorum was opened.
public typealias RecoveryReport = GlueQuorum.RecoveryReport
