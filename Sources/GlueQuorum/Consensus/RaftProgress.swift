import DequeModule
import GlueCore

/// What a leader knows of another member (etcd's progress).
///
/// ```
///          refused, or lost           refused, or lost
///         +----------------+      +---------------------+
///         v                |      v                     |
///       probe --------- synced --------------------> replicate
///         |  ^                                          |
///  no     |  | synced                                   |
///  entry  v  |                                          |
///       behind <---------------- no entry --------------+
/// ```
struct RaftProgress {
  enum State { case probe, replicate, behind }

  let member: MemberID
  /// Up to where its log is known to be on disk and to fit.
  var match: LogIndex = 0
  /// What is sent next.
  var next: LogIndex
  /// One message at a time until one fits; many under way; waiting for a state from elsewhere.
  var state = State.probe
  /// Whether the one message of `probe` or `behind` is under way.
  var isWaiting = false
  /// The messages with entries that are under way: their last entries and sizes.
  var inflight: Deque<(last: LogIndex, bytes: Int)> = []
  var inflightBytes = 0
  /// When it was heard last; nil if never by this leader.
  var lastHeard: Timestamp?
  /// Until when it counts as heard although it was not: a new leader gives everybody one election time-out.
  var joined: Timestamp
  /// The latest round that it answered.
  var round: UInt64 = 0
  /// A round at whose beginning everything before `checkNext` had been sent; 0 when none is open.
  var checkRound: UInt64 = 0
  var checkNext: LogIndex = 0
  /// Up to where it was told that the log is committed.
  var commitTold: LogIndex = 0

  init(_ member: MemberID, next: LogIndex, at now: Timestamp) {
    self.member = member
    self.next = next
    joined = now
  }

  /// When it was heard, or joined.
  var sign: Timestamp { max(lastHeard ?? joined, joined) }

  /// Its log is on disk up to there.
  mutating func synced(_ index: LogIndex) {
    match = max(match, index)
    if state != .replicate {
      begin(.replicate, next: match + 1)
    } else {
      next = max(next, match + 1)
    }
    while let first = inflight.first, first.last <= match {
      inflightBytes -= first.bytes
      inflight.removeFirst()
    }
  }

  mutating func begin(_ state: State, next: LogIndex) {
    self.state = state
    self.next = max(next, match + 1)
    isWaiting = false
    inflight.removeAll()
    inflightBytes = 0
  }
}
