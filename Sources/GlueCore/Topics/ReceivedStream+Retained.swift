/// Streams of topics that retain their last value. The newest value replaces all before it, of whichever publisher: nothing waits for
/// a hole, and what a higher value makes worthless is neither delivered nor kept, without a word.
///
///     carriers ──▶ take ──▶ higher than all of the topic? ── yes ──▶ delivered, kept; whoever held the one before gives it up
///                                                         └─ no ───▶ passed over
extension ReceivedStream {
  /// What is noted of a stream whose topic retains its last value.
  struct Retaining {
    /// Whether this endpoint publishes the topic as well, and so has to know its value whoever subscribes to it.
    var isOfPublishedTopic = false
    /// Messages below this were compared with the topic's value, or are known to be worth nothing.
    var judgedEnd: UInt64 = 0
    /// Whether it has brought a higher value that the machine has not looked at yet.
    var hasNews = false
    /// Whether its publisher is still to be told that its value is held here.
    var isUntold = false
    /// The publisher has said that it holds a value below this number.
    var promisedEnd: UInt64 = 0
  }

  /// Takes a value of the topic.
  func take(_ message: ArrivedMessage, of topic: RetainedTopic, at now: Timestamp, into inbox: Inbox) throws(WireError)
  {
    guard message.sequence >= next, !hasCaughtUp else { return inbox.counters.duplicateMessages += 1 }
    passOver(below: message.sequence, into: inbox)
    defer {
      if !isLate { retaining.judgedEnd = next }
      drain(at: now, into: inbox)
    }
    let range = message.sequence..<message.sequence + 1
    if let expires = message.expiresAt, expires <= now { return giveUp(range, reason: .expired, into: inbox) }
    let value: RetainedValue
    do throws(WireError) {
      value = try RetainedValue(message, of: info)
    } catch {
      passOver(below: range.upperBound, into: inbox)
      throw error
    }
    let isHigher = topic.admits(value.stamp)
    guard isHigher || isLate && value.stamp == topic.value?.stamp else {
      return passOver(below: range.upperBound, into: inbox)
    }
    // Whoever still looks for the value before need not any more.
    if !isLate { for reader in late { reader.joinOthers() } }
    try deliver(message, into: inbox, toThoseBefore: isNewsToAll(value, of: topic) ? nil : message.publishedAt)
    if isHigher {
      topic.raise(to: value, in: kept)
      _ = kept.keep(message, at: now)
      if !retaining.hasNews { inbox.news.append(self) }
      retaining.hasNews = true
    }
    if isLate { joinOthers() }
  }

  /// That a topic has no value is news where it had one. Otherwise only to those who were there when it was said.
  private func isNewsToAll(_ value: RetainedValue, of topic: RetainedTopic) -> Bool {
    !value.isCleared || topic.hasValue
  }

  /// Goes on at a number. What is passed over is worth nothing: there is a newer value, or will be.
  func passOver(below sequence: UInt64, into inbox: Inbox) {
    guard next < sequence else { return }
    giveUp(next..<sequence, reason: .evicted, into: inbox)
    if !isLate { retaining.judgedEnd = next }
  }

  /// Has a subscription that came later get what the others get from now on.
  private func joinOthers() {
    next = max(next, front?.next ?? next)
    catchUp()
  }

  /// Where a subscription begins that comes now: with the topic's value if it is in this stream, or with what may be its value but went
  /// by without being asked for.
  func laterStart(in topic: RetainedTopic) -> UInt64 {
    if let value = topic.value, value.stream == hash { return value.isCleared ? next : value.sequence }
    return retaining.judgedEnd < next ? next - 1 : next
  }

  /// By which streams are ordered where some have to go: what holds the value of a topic goes last.
  var valueRank: Int { retained == nil || kept.sequences.isEmpty ? 0 : 1 }

  /// Takes over values from a store.
  func restore(_ messages: [LoadedMessage], of topic: RetainedTopic, at now: Timestamp) {
    retaining.judgedEnd = next
    guard let message = messages.last?.message else { return }
    let value = RetainedValue(message, of: info)
    // On the disk there may be several: it had no time to let go of the lower ones.
    if topic.admits(value.stamp) { topic.raise(to: value, in: kept) } else { kept.giveUp(to: nil) }
  }
}
