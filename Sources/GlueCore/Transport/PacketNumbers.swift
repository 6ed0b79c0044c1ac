/// Restores 32-bit packet numbers and recognizes duplicates (docs/protocol.md §2.3).
struct ReplayWindow {
  /// The highest number received; 0 before the first.
  private(set) var highest: UInt64 = 0
  /// Bit n % size: number n has been received. Numbers of one sender are shared by all its peers, so those of one session lie
  /// apart: among 100 peers this still covers the last ten datagrams to each.
  private var received = [UInt64](repeating: 0, count: size / 64)
  static let size = 1_024

  /// Before the first.
  init() {}

  /// As if everything up to this number had been received.
  init(nothingBelow number: UInt64) {
    highest = number
    received = [UInt64](repeating: .max, count: Self.size / 64)
  }

  /// Whether a number has neither been received nor is too old to tell.
  func isNew(_ number: UInt64) -> Bool {
    number > highest || (highest - number < Self.size && !isSet(number))
  }

  /// The 64-bit number nearest to the highest that ends in these 32 bits.
  func restore(_ low: UInt32) -> UInt64 { Self.restore(low, near: highest) }

  /// The 64-bit number nearest to another one that ends in these 32 bits.
  static func restore(_ low: UInt32, near highest: UInt64) -> UInt64 {
    let candidate = highest & ~0xFFFF_FFFF | UInt64(low)
    let half: UInt64 = 1 << 31
    if candidate + half < highest { return candidate + (1 << 32) }
    if candidate > highest + half, candidate >= 1 << 32 { return candidate - (1 << 32) }
    return candidate
  }

  /// Notes a number. Returns false for a duplicate, or one too old to tell.
  mutating func accept(_ number: UInt64) -> Bool {
    if number > highest {
      // The places of the numbers between are reused.
      let skipped = min(number - highest, UInt64(Self.size))
      for place in 0..<skipped { clear(number - place) }
      highest = number
    } else if highest - number >= Self.size || isSet(number) {
      return false
    }
    received[Int(number / 64 % UInt64(Self.size / 64))] |= 1 << (number % 64)
    return true
  }

  private func isSet(_ number: UInt64) -> Bool {
    received[Int(number / 64 % UInt64(Self.size / 64))] & (1 << (number % 64)) != 0
  }

  private mutating func clear(_ number: UInt64) {
    received[Int(number / 64 % UInt64(Self.size / 64))] &= ~(1 << (number % 64))
  }
}

/// The datagrams under way to one peer, to measure round trips and loss by (docs/protocol.md §5.4).
struct SentDatagrams {
  private struct Entry {
    var number: UInt64
    var bytes: Int
    /// What it took of the congestion window.
    var charge: Int
    var sentAt: Timestamp
    /// Datagrams sent in the session up to this one.
    var total: UInt64
  }

  /// What an ACK tells.
  struct Verdict {
    /// What is given back to the congestion window.
    var charge = 0
    var datagrams = 0
    var lost: UInt64 = 0
    /// Bytes of a datagram that certainly arrived.
    var arrivedBytes = 0
    var roundTrip: Nanoseconds?
  }

  /// More than this many are not remembered; the oldest are taken as arrived. A window of 64 MiB of unprobed datagrams.
  static let limit = 65_536

  private var entries: [Entry] = []
  private var head = 0
  private var total: UInt64 = 0
  private var knownLost: UInt64 = 0
  /// Whether what is known lost follows from the next ACK, as the peer has counted something else before.
  private var isUnbased = false

  /// Counts a datagram that asks for no answer.
  mutating func addUnanswered() { total += 1 }

  mutating func add(number: UInt64, bytes: Int, charge: Int, at now: Timestamp) {
    total += 1
    entries.append(Entry(number: number, bytes: bytes, charge: charge, sentAt: now, total: total))
    if entries.count - head > Self.limit { head += 1 }
  }

  /// Adds one of a series that others are sent, too, by how many there are in the series so far.
  mutating func add(number: UInt64, total: UInt64, bytes: Int, charge: Int, at now: Timestamp) {
    self.total = total - 1
    add(number: number, bytes: bytes, charge: charge, at: now)
  }

  mutating func acknowledged(_ ack: Ack, at now: Timestamp) -> Verdict {
    var verdict = Verdict()
    var last: Entry?
    while head < entries.count, entries[head].number <= ack.largest {
      let entry = entries[head]
      verdict.charge += entry.charge
      verdict.datagrams += 1
      last = entry
      head += 1
    }
    compact()
    guard let last else { return verdict }
    if last.number == ack.largest {
      verdict.arrivedBytes = last.bytes
      let elapsed = now.since(last.sentAt).count
      verdict.roundTrip = Nanoseconds(
        elapsed.subtractingSaturated(Nanoseconds.microseconds(ack.delayMicroseconds).count))
    }
    if isUnbased {
      isUnbased = false
      knownLost = last.total.subtractingSaturated(ack.count)
    }
    if last.total > ack.count, last.total - ack.count > knownLost {
      verdict.lost = min(last.total - ack.count - knownLost, UInt64(verdict.datagrams))
      knownLost = last.total - ack.count
    }
    return verdict
  }

  /// From now on what is lost is judged; the peer may have counted more before, or less.
  mutating func rebase() { isUnbased = true }

  /// Nothing is under way any more.
  mutating func forget() {
    head = entries.count
    compact()
  }

  private mutating func compact() {
    if head == entries.count {
      entries.removeAll(keepingCapacity: entries.count <= 4_096)
      head = 0
    } else if head > 1_024, head * 2 > entries.count {
      entries.removeFirst(head)
      head = 0
    }
  }
}
