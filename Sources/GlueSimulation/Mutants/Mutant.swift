/// Ways to break endpoints on purpose, to show that a checker can fail. A mutant acts at the seam of the core: on what goes
/// into and comes out of the machine, as a core that is broken in that way would.
public enum Mutant: String, CaseIterable, Sendable {
  /// Flips a bit of some payloads before they are delivered.
  case corruptsPayloads
  /// Delivers some messages twice.
  case deliversTwice
  /// Delivers some messages before those they follow.
  case swapsDeliveries
  /// Says nothing of losses.
  case hidesLosses
  /// Sends nothing a second time.
  case neverRepeats
  /// Acknowledges what it misses.
  case claimsEverything
  /// Hands over messages after their lifetime.
  case keepsPastExpiry
  /// Sends data also to those who did not ask for it.
  case sendsToEverybody
  /// Sends data by multicast also if only one endpoint asked for it.
  case multicastsToOne
  /// Does not repeat to anybody what it has sent by multicast.
  case trustsMulticast
  /// Sends twice what it sends by multicast.
  case multicastsTwice
  /// Sends nothing to anybody while one peer is silent.
  case waitsForTheSlowest
  /// Frees nothing, and copies all that it gets.
  case hoards
  /// Sends all data twice.
  case repeatsEverything
  /// Announces itself twice each time.
  case announcesTooOften
  /// Says something to a peer whenever it announces itself.
  case chatters
  /// Takes no WELCOME after a while, so that sessions are half.
  case ignoresWelcomes
  /// Goes on when told that its ID or name is taken.
  case ignoresClashes
  /// Gives up its ID to anybody who claims it.
  case yieldsToAnyClaim
  /// Replies twice to strangers.
  case answersTwice
  /// Does not listen to some endpoints, nor takes what others pass on of them.
  case ignoresSome
  /// Does not listen to some endpoints, and so reaches them by way of others.
  case relaysNeedlessly
  /// Passes datagrams on without counting how often that was done.
  case countsNoHops
  /// Takes endpoints for peers that have proven nothing.
  case believesAnybody
  /// Says nothing of multicast that does not get through.
  case hidesDeadMulticast
  /// Takes no announcements by multicast from those it knows, and says that none come.
  case ignoresMulticast
  /// Does not deliver what was published a while ago.
  case forgetsThePast
  /// Tells publishers that their messages are stored when it begins to write them.
  case confirmsBeforeTheSync
  /// Begins anew where it should go on.
  case forgetsPosition
  /// Does not deliver that a topic's value was cleared.
  case hidesClears
  /// A replica that takes no answers to what it asks.
  case takesNoAnswers
  /// A replica that puts some of what others write to another path.
  case altersEntries
  /// A replica that takes some of what others write for removed.
  case losesEntries
  /// A replica that takes transactions change by change.
  case splitsTransactions
  /// A replica that shows again what was removed.
  case bringsBack
  /// A replica that is told that its state is stored when that begins to be written.
  case trustsTheDisk
  /// A replica that does not tell its watchers of some changes.
  case swallowsChanges
  /// A replica that says something on and on.
  case neverRests
  /// A candidate that takes refusals for votes.
  case countsRefusals
  /// An opening of a quorum model that applies entries at a time of its own.
  case countsOwnTime
  /// An opening of a quorum model that applies entries that do not follow those before them.
  case skipsEntries
  /// A storage that says that it has written before it has.
  case forgetsToSync
  /// A storage that was lost, and has the same identity afterwards.
  case keepsIdentity
  /// A state that does a request again that was done before.
  case retryAppliedTwice
  /// An opening of a quorum model that reads without asking the leader.
  case readsAtOnce
  /// A holder that takes its locks for held for ever, and does nothing for it.
  case keepsLocks
  /// An opening of a quorum model that does not tell what has failed.
  case waitsForever
  /// A member that asks nobody for a vote.
  case asksForNoVotes
  /// An opening of a quorum model that asks nobody for what it lacks.
  case fetchesNothing

  /// The invariant whose checker must notice it.
  public var invariant: Invariant {
    switch self {
    case .corruptsPayloads: .integrity
    case .deliversTwice: .atMostOnce
    case .swapsDeliveries, .hidesLosses, .forgetsPosition: .order
    case .neverRepeats, .trustsMulticast: .eventualDelivery
    case .claimsEverything: .acknowledgement
    case .keepsPastExpiry: .expiry
    case .sendsToEverybody, .multicastsToOne: .interestOnly
    case .waitsForTheSlowest: .isolation
    case .hoards: .bufferCaps
    case .repeatsEverything, .multicastsTwice: .boundedRepetition
    case .announcesTooOften: .announcementRate
    case .chatters: .quietNetwork
    case .ignoresWelcomes: .wholeSessions
    case .ignoresClashes, .yieldsToAnyClaim: .oneHolder
    case .answersTwice: .amplification
    case .ignoresSome: .convergence
    case .relaysNeedlessly, .countsNoHops: .relaying
    case .believesAnybody: .unprovenState
    case .hidesDeadMulticast, .ignoresMulticast: .multicastTold
    case .forgetsThePast: .reunion
    case .confirmsBeforeTheSync: .durability
    case .hidesClears: .retained
    case .takesNoAnswers: .modelConvergence
    case .altersEntries: .modelIntegrity
    case .losesEntries: .modelRetention
    case .splitsTransactions: .modelTransactions
    case .bringsBack: .modelNoReturn
    case .trustsTheDisk: .modelDurability
    case .swallowsChanges: .modelWatching
    case .neverRests: .quietNetwork
    case .countsRefusals: .quorumLeaders
    case .countsOwnTime: .quorumLog
    case .skipsEntries: .quorumOrder
    case .forgetsToSync, .keepsIdentity: .quorumMemory
    case .retryAppliedTwice: .quorumDurability
    case .readsAtOnce: .quorumHistory
    case .keepsLocks: .quorumLocks
    case .waitsForever: .quorumEnds
    case .asksForNoVotes: .quorumProgress
    case .fetchesNothing: .quorumConvergence
    }
  }

  /// Whether it breaks quorum models: then every run has one.
  var isOfQuorums: Bool {
    switch invariant {
    case .quorumLeaders, .quorumLog, .quorumOrder, .quorumMemory, .quorumDurability, .quorumHistory, .quorumLocks,
      .quorumEnds, .quorumProgress, .quorumConvergence:
      true
    default: false
    }
  }
}
