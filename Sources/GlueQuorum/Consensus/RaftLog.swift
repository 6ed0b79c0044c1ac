import DequeModule

/// The log in memory: what follows a base whose entries are gone, in a deque by offset.
struct RaftLog {
  /// The last entry that is gone; what is before it is committed.
  private(set) var baseIndex: LogIndex
  /// That entry's term.
  private(set) var baseTerm: Term
  private var entries: Deque<RaftEntry> = []
  /// Every membership since the base, first that of the base itself. The last one is in force (dissertation §4.1).
  private(set) var memberships: [(index: LogIndex, membership: Membership)]
  /// Bytes of all entries.
  private(set) var bytes = 0

  /// Begins after a snapshot.
  init(_ snapshot: RaftSnapshot) {
    baseIndex = snapshot.index
    baseTerm = snapshot.term
    memberships = [(snapshot.index, snapshot.membership)]
  }

  var firstIndex: LogIndex { baseIndex + 1 }
  var lastIndex: LogIndex { baseIndex + LogIndex(entries.count) }
  var lastTerm: Term { entries.last?.term ?? baseTerm }
  var membership: Membership { memberships[memberships.count - 1].membership }
  /// Where the membership in force stands.
  var membershipIndex: LogIndex { memberships[memberships.count - 1].index }

  /// The membership as of an entry.
  func membership(at index: LogIndex) -> Membership {
    (memberships.last { $0.index <= index } ?? memberships[0]).membership
  }

  /// The term of an entry; nil if it is gone, or not there yet.
  func term(at index: LogIndex) -> Term? {
    if index == baseIndex { return baseTerm }
    guard index > baseIndex, index <= lastIndex else { return nil }
    return entries[Int(index - baseIndex - 1)].term
  }

  /// An entry; nil if it is gone, or not there yet.
  func entry(at index: LogIndex) -> RaftEntry? {
    guard index > baseIndex, index <= lastIndex else { return nil }
    return entries[Int(index - baseIndex - 1)]
  }

  /// Adds an entry, which follows the last one.
  mutating func append(_ entry: RaftEntry) {
    entries.append(entry)
    bytes += entry.encodedBound
    if case .membership(let membership) = entry.content { memberships.append((entry.index, membership)) }
  }

  /// Drops this entry and all after it, and the memberships that they brought.
  mutating func truncate(from index: LogIndex) {
    while lastIndex >= index, let last = entries.popLast() { bytes -= last.encodedBound }
    while memberships.count > 1, memberships[memberships.count - 1].index >= index { memberships.removeLast() }
  }

  /// Drops what is up to an entry, but leaves at most so many entries and bytes before it.
  mutating func compact(to index: LogIndex, keepingEntries: Int, bytes keptBytes: Int) {
    guard index > baseIndex, index <= lastIndex else { return }
    var before = Int(index - baseIndex)
    var bytesBefore = 0
    for offset in 0..<before { bytesBefore += entries[offset].encodedBound }
    while before > 0, before > keepingEntries || bytesBefore > keptBytes {
      let dropped = entries.removeFirst()
      before -= 1
      bytesBefore -= dropped.encodedBound
      bytes -= dropped.encodedBound
      baseIndex = dropped.index
      baseTerm = dropped.term
    }
    while memberships.count > 1, memberships[1].index <= baseIndex { memberships.removeFirst() }
  }

  /// Entries from `first` to `last` at most, in about so many bytes, and at least one.
  func slice(from first: LogIndex, to last: LogIndex, bytes limit: Int) -> [RaftEntry] {
    let last = min(last, lastIndex)
    guard first > baseIndex, first <= last else { return [] }
    let start = Int(first - baseIndex - 1)
    var end = start
    var total = 0
    while end <= Int(last - baseIndex - 1) {
      total += entries[end].encodedBound
      if total > limit, end > start { break }
      end += 1
    }
    return Array(entries[start..<end])
  }

  /// The last entry up to `index` whose term is not above `term`; the base if there is none. Terms never fall, so by halves.
  func lastIndex(upTo index: LogIndex, termAtMost term: Term) -> LogIndex {
    var low = 0
    var high = Int(max(min(index, lastIndex), baseIndex) - baseIndex)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].term <= term { low = middle + 1 } else { high = middle }
    }
    return baseIndex + LogIndex(low)
  }
}

extension RaftLog {
  /// For ``RaftFault/keepsTruncatedMembership``: a membership stays in force although its entry is gone.
  mutating func keep(_ membership: Membership) { memberships.append((lastIndex, membership)) }
}
