import GlueCore

/// What must hold in every run, whatever the network does.
public enum Invariant: String, CaseIterable, Sendable {
  /// No bytes are delivered that were not published under that publisher, topic and sequence number.
  case integrity
  /// No message is delivered twice to a subscription.
  case atMostOnce
  /// A stream is delivered in order; what it skips is reported as lost, exactly.
  case order
  /// What a connected reliable reader was sent arrives, or is reported lost, within a bound after the network is sound.
  case eventualDelivery
  /// Nothing is delivered after its expiry.
  case expiry
  /// What is reported as acknowledged has reached every matched reliable reader, or its loss was reported.
  case acknowledgement
  /// Data goes only to endpoints with a matching subscription.
  case interestOnly
  /// A slow or dead peer, or a busy topic, does not delay others.
  case isolation
  /// Buffers stay within their caps.
  case bufferCaps
  /// Bytes are repeated in proportion to bytes lost.
  case boundedRepetition
  /// Endpoints announce themselves no more often than their interval says.
  case announcementRate
  /// In a quiet network there are announcements and nothing else.
  case quietNetwork
  /// Either both ends have a session or none has, after two leases.
  case wholeSessions
  /// Each ID and each name has one holder; a live holder loses it only to an older live one.
  case oneHolder
  /// An address that has proven nothing is sent no more bytes than came from it.
  case amplification
  /// After healing everybody knows everybody within a bound, and before that those do that have a peer in common.
  case convergence
  /// State for endpoints that have proven nothing stays within its cap, and none of them becomes a peer.
  case unprovenState
  /// An endpoint that no multicast passes to or from says so, and one says so only if that is so.
  case multicastTold
  /// Datagrams are passed on a bounded number of times, and not between endpoints that hear each other.
  case relaying
  /// What a subscription wants and somebody still holds arrives, or is reported lost, within a bound after the network is sound:
  /// also what was published while it was away, and when its publisher is gone.
  case reunion
  /// What a publisher was told is stored was safe on as many disks, and what is on a disk is held again after a restart.
  case durability
  /// The values of a topic that retains its last one reach each subscription in ascending order; and within a bound after the network is
  /// sound each of them has got the highest that anybody holds, so that no value comes back that was cleared.
  case retained
  /// Within a bound after the network is sound and nobody writes any more, all who have a model open hold the same, to the last byte.
  case modelConvergence
  /// No entry is in a model that was not written by the replica and in the transaction that it names, at that path and with that content.
  case modelIntegrity
  /// What a replica has seen in a model it holds, unless a transaction that it has seen as well removed it, or a clean-up passed it.
  case modelRetention
  /// A transaction on a model is seen as a whole or not at all; one that is refused changes nothing.
  case modelTransactions
  /// What was removed from a model does not come back.
  case modelNoReturn
  /// What a replica reported to be stored is there when its model is opened again.
  case modelDurability
  /// What watchers of a model are told adds up to what it shows.
  case modelWatching
  /// A term of a quorum model has at most one leader.
  case quorumLeaders
  /// All openings of a quorum model apply the same entry at an index, and have the same state after it.
  case quorumLog
  /// Each opening of a quorum model applies one entry after the other, and those who watch are told so.
  case quorumOrder
  /// What a voter's storage has confirmed is there when it is opened again; one that has lost it is somebody else.
  case quorumMemory
  /// A write to a quorum model that was told to have happened is there once; one that was told not to have happened is not.
  case quorumDurability
  /// What the clients of a quorum model were told is linearizable.
  case quorumHistory
  /// A fencing token is given to one opening, tokens grow, and two do not take a lock for held.
  case quorumLocks
  /// What is asked of a quorum model ends in time.
  case quorumEnds
  /// Where a majority of the voters is connected, directly or by way of one other endpoint, a write is committed within a bound.
  case quorumProgress
  /// Within a bound after the network is sound, all openings of a quorum model have the same state, to the last byte.
  case quorumConvergence
  /// Any bytes decode to a value or an error. A trap would end the run; what is counted are hostile datagrams survived.
  case totalDecoder
}

/// A broken invariant.
public struct Violation: Sendable, Hashable, CustomStringConvertible {
  /// In the run of which seed.
  public var seed: UInt64
  /// Which invariant.
  public var invariant: Invariant
  /// When, in virtual nanoseconds.
  public var at: Timestamp
  /// What was seen.
  public var text: String
  /// The last lines of the run's trace before it.
  public var trace: [String]

  /// Two lines and the trace.
  public var description: String {
    "seed \(seed): \(invariant.rawValue) violated at \(at.secondsText): \(text)"
  }
}

/// One life of an endpoint in a run, from start to end: the lives are numbered as they begin.
package typealias Life = Int

/// A publisher's messages on one topic.
package struct StreamKey: Hashable, Sendable {
  /// Who publishes.
  package var publisher: Life
  /// The number of the topic in the run.
  package var topic: Int
  /// Both.
  package init(publisher: Life, topic: Int) {
    self.publisher = publisher
    self.topic = topic
  }
}

/// A subscription of one life.
package struct SubscriptionKey: Hashable, Sendable {
  /// Whose.
  package var life: Life
  /// Its number there.
  package var number: UInt64
  /// Both.
  package init(life: Life, number: UInt64) {
    self.life = life
    self.number = number
  }
}

extension Timestamp {
  /// Seconds with six decimals.
  package var secondsText: String {
    let micros = String(nanoseconds / 1_000 % 1_000_000)
    return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 6 - micros.count) + micros + " s"
  }
}
