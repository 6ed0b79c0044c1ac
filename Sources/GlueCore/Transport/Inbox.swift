/// Where the streams of an endpoint put what they deliver and lose, and which limits they reach.
final class Inbox {
  @exclusivity(unchecked) var deliveries: [Delivery] = []
  var losses: [Loss] = []
  /// Messages of control streams, for the machine itself, and when they were written, on the local clock.
  var control: [(session: Session, body: UnsafeRawBufferPointer, owner: PayloadBuffer?, writtenAt: Timestamp)] = []
  /// Streams that have brought a higher value of a topic that retains its last one.
  var news: [ReceivedStream] = []
  @exclusivity(unchecked) var counters = Counters()
  var limits = LimitTally<Limit>()
  /// Limits that are to be told of, and how often each was reached so far.
  var reached: [(limit: Limit, count: UInt64)] = []

  /// Counts a limit that was reached, and has it told at most once a second.
  func reach(_ limit: Limit, at now: Timestamp) {
    if let count = limits.reach(limit, at: now) { reached.append((limit, count)) }
  }

  /// Notes messages that will not come, to be told to the subscriptions; of a direct stream to the program.
  func lose(
    _ sequences: Range<UInt64>, of stream: StreamInfo?, subscriptions: [SubscriptionID], reason: LossReason
  ) {
    // A peer says how many; the sum may wrap, but must not trap.
    counters.messagesLost &+= UInt64(sequences.count)
    guard let stream else { return }
    // Consecutive losses of one cause are one report.
    if let last = losses.last, last.stream === stream, last.reason == reason, last.subscriptions == subscriptions,
      last.sequences.upperBound == sequences.lowerBound, !sequences.isEmpty
    {
      losses[losses.count - 1].sequences = last.sequences.lowerBound..<sequences.upperBound
      return
    }
    losses.append(Loss(stream: stream, subscriptions: subscriptions, sequences: sequences, reason: reason))
  }
}
