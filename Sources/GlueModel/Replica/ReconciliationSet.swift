import GlueCore

/// Finds the differences of two sets of live dots in a few messages, by comparing fingerprints of ranges and dividing the ranges that differ:
/// Meyer, "Range-Based Set Reconciliation" (SRDS 2023, arXiv 2212.13567).
///
/// The set is taken once, at the beginning, so what happens to the document meanwhile does not matter. One side (the *client*) drives: it
/// answers what comes with ``respond(to:)`` and learns all differences; the other only answers.
///
/// A fingerprint is the sum of hashes of the members, modulo 2^48, from sums of all prefixes, so that any range costs two look-ups. Two ranges that
/// differ have equal ones by a chance of one in 2^48; then the digests tell that the states still differ, and another salt finds it.
struct ReconciliationSet: Sendable {
  /// Into how many ranges one is divided.
  static let fanOut = 4
  /// A range of at most so many members is listed rather than divided.
  static let leaf = 16

  let members: [LiveDot]
  private let sums: [UInt64]
  private(set) var differences = Differences()

  /// What the client has found out.
  struct Differences: Equatable, Sendable {
    /// Only this side has them: the other has removed them.
    var here: [Dot] = []
    /// Only the other side has them: this one has removed them.
    var there: [Dot] = []
    /// Both have them, this side with more folds.
    var newerHere: [Dot] = []
    /// Both have them, the other side with more folds.
    var newerThere: [Dot] = []
  }

  /// A set of members in ascending order, no dot twice. Both sides must use the same salt, and another one next time: then two sets
  /// that by chance have equal fingerprints do not have them again.
  init(_ members: [LiveDot], salt: UInt64) {
    self.members = members
    var sum: UInt64 = 0
    var sums: [UInt64] = [0]
    sums.reserveCapacity(members.count + 1)
    for member in members {
      sum &+= Self.hash(member, salt: salt)
      sums.append(sum)
    }
    self.sums = sums
  }

  /// The ranges to begin with.
  func opening() -> [ReconciliationRange] {
    members.count <= Self.leaf ? [list(0..<members.count, upper: nil)] : divide(0..<members.count, upper: nil)
  }

  /// What to answer. Empty if there are no differences left in these ranges.
  mutating func respond(to ranges: [ReconciliationRange], asClient isClient: Bool) -> [ReconciliationRange] {
    var answer: [ReconciliationRange] = []
    var start = 0
    for range in ranges {
      let end = range.upper.map { upper in members.partitioningIndex { $0.dot >= upper } } ?? members.count
      // Whoever sends ranges in the wrong order gets an answer to some of them.
      let own = start..<max(start, end)
      start = own.upperBound
      switch range.content {
      case .equal: append(.init(upper: range.upper, content: .equal), to: &answer)
      case .fingerprint(let theirs):
        if theirs == fingerprint(own) {
          append(.init(upper: range.upper, content: .equal), to: &answer)
        } else if own.count <= Self.leaf {
          append(list(own, upper: range.upper), to: &answer)
        } else {
          for part in divide(own, upper: range.upper) { append(part, to: &answer) }
        }
      case .members(let theirs):
        if isClient {
          compare(own, with: theirs)
          append(.init(upper: range.upper, content: .equal), to: &answer)
        } else {
          append(list(own, upper: range.upper), to: &answer)
        }
      }
    }
    return answer.contains { $0.content != .equal } ? answer : []
  }

  // MARK: Parts

  /// Ranges with nothing to say that follow each other are one.
  private func append(_ range: ReconciliationRange, to ranges: inout [ReconciliationRange]) {
    if range.content == .equal, let last = ranges.last, last.content == .equal { ranges.removeLast() }
    ranges.append(range)
  }

  private func list(_ range: Range<Int>, upper: Dot?) -> ReconciliationRange {
    ReconciliationRange(upper: upper, content: .members(Array(members[range])))
  }

  private func divide(_ range: Range<Int>, upper: Dot?) -> [ReconciliationRange] {
    (0..<Self.fanOut).map { index in
      let from = range.lowerBound + range.count * index / Self.fanOut
      let to = range.lowerBound + range.count * (index + 1) / Self.fanOut
      let bound = index + 1 == Self.fanOut ? upper : members[to].dot
      return ReconciliationRange(upper: bound, content: .fingerprint(fingerprint(from..<to)))
    }
  }

  private func fingerprint(_ range: Range<Int>) -> UInt64 {
    (sums[range.upperBound] &- sums[range.lowerBound]) & Self.fingerprintMask
  }

  /// Fingerprints are most of what is sent: six bytes of each do.
  private static let fingerprintMask: UInt64 = 0xFFFF_FFFF_FFFF

  private mutating func compare(_ range: Range<Int>, with theirs: [LiveDot]) {
    members[range].walk(beside: theirs[...]) { dot, mine, other in
      switch (mine, other) {
      case (nil, _): differences.there.append(dot)
      case (_, nil): differences.here.append(dot)
      case (let mine?, let other?):
        if mine > other { differences.newerHere.append(dot) }
        if mine < other { differences.newerThere.append(dot) }
      }
    }
  }

  private static func hash(_ member: LiveDot, salt: UInt64) -> UInt64 {
    var hash = mix(salt ^ member.dot.replica.endpoint.rawValue)
    hash = mix(hash ^ member.dot.replica.number)
    hash = mix(hash ^ UInt64(member.dot.replica.generation) << 32 ^ UInt64(member.folds))
    return mix(hash ^ member.dot.counter)
  }

  /// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
  private static func mix(_ number: UInt64) -> UInt64 {
    var z = number &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension ArraySlice<LiveDot> {
  /// Goes through two ascending lists together: each dot once, with its folds in this list and in the other one.
  func walk(beside other: ArraySlice<LiveDot>, _ body: (Dot, UInt32?, UInt32?) -> Void) {
    var (mine, theirs) = (self, other)
    while true {
      let dot: Dot
      switch (mine.first?.dot, theirs.first?.dot) {
      case (nil, nil): return
      case (let a?, nil): dot = a
      case (nil, let b?): dot = b
      case (let a?, let b?): dot = Swift.min(a, b)
      }
      let here = mine.first?.dot == dot ? mine.removeFirst().folds : nil
      let there = theirs.first?.dot == dot ? theirs.removeFirst().folds : nil
      body(dot, here, there)
    }
  }
}

/// What one side says of a range of dots: from where the range before it ended (the first begins before all dots) to before `upper`.
struct ReconciliationRange: Equatable, Sendable {
  /// The end, which does not belong to it; nil for one that goes on to the last dot.
  var upper: Dot?
  var content: Content

  enum Content: Equatable, Sendable {
    /// There is nothing more to say.
    case equal
    /// Of all members; below 2^48.
    case fingerprint(UInt64)
    /// All members, in ascending order.
    case members([LiveDot])
  }
}
