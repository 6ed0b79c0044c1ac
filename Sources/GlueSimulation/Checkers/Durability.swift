import GlueCore

/// What a publisher was told is stored by so many was safe on so many disks; and what is on a disk is held again after a restart.
package struct Durability {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing stored yet.
  package init() {}

  /// A publisher believes that so many stores have a message, which was ever safe on so many disks.
  package mutating func told(_ count: Int, having disks: Int, sequence: UInt64, of publisher: Life) -> String? {
    if count > 0 { checks += 1 }
    guard count > disks else { return nil }
    return "life \(publisher) was told that \(count) stores have its message \(sequence), which \(disks) have"
  }

  /// An endpoint has taken over a stream from its disk, and holds these numbers of it.
  package mutating func restored(_ loaded: LoadedStream, as held: Range<UInt64>, by life: Life) -> String? {
    // Messages without an expiry go with those before them that have one.
    let isByExpiry = loaded.stream.history == .untilExpiry
    let first = loaded.messages.first { !isByExpiry || $0.message.lifetimeMicroseconds != nil }?.message
    guard let first, let last = loaded.messages.last?.message else { return nil }
    checks += 1
    var lowest = first.sequence
    // Of a long hole what was before it is let go, and of what the topic does not keep any more.
    for (one, next) in zip(loaded.messages, loaded.messages.dropFirst())
    where next.message.position - one.message.position > 1_024 {
      lowest = next.message.sequence
    }
    if case .last(let depth) = loaded.stream.history {
      lowest = max(lowest, last.sequence + 1 - min(last.sequence + 1, UInt64(depth)))
    }
    guard held.lowerBound > lowest || held.upperBound != last.sequence + 1 else { return nil }
    return "life \(life) holds \(held) of \(loaded.stream.topic), of which \(lowest)...\(last.sequence) are on its disk"
  }
}
