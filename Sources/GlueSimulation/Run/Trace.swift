import GlueCore

/// The story of a run: a hash of all of it, and its last lines.
package struct Trace {
  /// What a line is about.
  package enum Kind: UInt8, Sendable {
    case sent, arrived, dropped, published, full, delivered, lost, expired, matched, acknowledged, peerAdded,
      peerRemoved,
      peerUpdated, interestKnown, mismatch, keyMismatch, refused, multicast, clash, defeated, incompatible, limit,
      writable,
      directAcknowledged,
      started,
      ended, paused, resumed, moved, faultBegan, faultEnded, subscribed, unsubscribed, direct, phase, modelOpened,
      modelClosed, modelChanged, quorumOpened, quorumClosed, quorumApplied, quorumLed
  }

  private struct Line {
    var time: Timestamp
    var kind: Kind
    var values: (Int, Int, Int, Int)
  }

  /// A hash of every line so far.
  package private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
  private var lines: [Line] = []
  private var nextLine = 0
  private let capacity: Int

  /// Keeps so many lines.
  package init(capacity: Int) { self.capacity = capacity }

  /// Adds a line.
  package mutating func note(_ kind: Kind, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, at time: Timestamp) {
    mix(time.nanoseconds)
    mix(UInt64(kind.rawValue))
    mix(UInt64(bitPattern: Int64(a)))
    mix(UInt64(bitPattern: Int64(b)))
    mix(UInt64(bitPattern: Int64(c)))
    mix(UInt64(bitPattern: Int64(d)))
    guard capacity > 0 else { return }
    let line = Line(time: time, kind: kind, values: (a, b, c, d))
    if lines.count < capacity {
      lines.append(line)
    } else {
      lines[nextLine] = line
      nextLine = (nextLine + 1) % capacity
    }
  }

  private mutating func mix(_ value: UInt64) {
    digest = (digest ^ value) &* 0x0000_0100_0000_01B3
    digest ^= digest >> 29
  }

  /// The lines kept, the oldest first.
  package var tail: [String] {
    (lines[nextLine...] + lines[..<nextLine]).map { line in
      let (a, b, c, d) = line.values
      return "\(line.time.secondsText) \(line.kind) \(a) \(b) \(c) \(d)"
    }
  }
}
