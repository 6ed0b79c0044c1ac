import DequeModule

/// What a peer has of streams that others published, and the requests for it.
struct PeerHistory {
  /// Requests of this endpoint that are under way to one peer: enough to keep it busy, and well below its limit of streams.
  static let requestsUnderWay = 64
  /// How long a peer that has reached its limit is left alone.
  static let refusalPause = Nanoseconds.milliseconds(100)
  /// After so many refusals in a row a peer does not get to it: 5 s.
  static let maximumRefusals = 50

  /// What the peer says that it has.
  var holdings: [StreamHash: StreamHolding] = [:]
  /// What it said last that it has nothing of.
  var denied: StreamHash?
  /// Requests that it may still make.
  var allowance: TokenBucket
  /// When the session began.
  let began: Timestamp
  /// How often it has still to say that it has told everything.
  var awaited = 0
  /// Requests of this endpoint to it that are under way.
  var underWay = 0
  /// What waits until it may be asked.
  var line = Deque<FetchTarget>()
  /// It is not asked before this.
  var pausedUntil = Timestamp(nanoseconds: 0)
  /// Refusals since it last did what it was asked.
  var refusals = 0

  init(requestsPerSecond: Int, at now: Timestamp) {
    allowance = TokenBucket(perSecond: requestsPerSecond, burst: requestsPerSecond * 10, at: now)
    began = now
  }

  /// Whether it holds something of a stream.
  func holds(_ stream: StreamHash) -> Bool { holdings[stream].map { $0.first < $0.end } ?? false }

  /// Whether it may be asked for one more.
  func mayBeAsked(at now: Timestamp) -> Bool { underWay < Self.requestsUnderWay && pausedUntil <= now }
}

/// What is asked of a holder.
enum FetchTarget {
  /// A stream of which nothing is known but that it holds it.
  case unknown(StreamHash)
  /// What is missing of a stream.
  case missing(ReceivedStream)
  /// Whether there was more before the beginning of a stream.
  case question(ReceivedStream)
}

/// A request for history that is under way.
struct PendingFetch {
  var hash: StreamHash
  /// Whose hole it is to fill; nil as long as nothing of the stream is known.
  var stream: ReceivedStream?
  /// Of whom it was asked.
  var session: UInt32
  /// Whether only the beginning of the answer is of interest: what is asked for could not be delivered any more.
  var isQuestion = false
}
