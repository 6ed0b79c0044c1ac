import GlueAddress
import GlueCore

/// An attacker on the network: overhears what is sent, and injects. It has no key. It does not forge session datagrams of
/// a network without one: whoever sees a session can, and no invariant holds against that.
struct Hostility {
  /// What it injects, from where, to whom.
  struct Shot {
    var bytes: [UInt8]
    var source: SocketAddress
    var hosts: [Int]
    var isGroup = false
    /// What it holds back and lets pass later, unchanged and from where it came: who sent it, and when.
    var original: (host: Int, sentAt: Timestamp)?
  }

  private struct Overheard {
    var bytes: [UInt8]
    var source: SocketAddress
    /// Whom it was for; nil for all.
    var host: Int?
    var original: (host: Int, sentAt: Timestamp)
  }

  private var dice: Dice
  private var overheard: [Overheard] = []
  private var nextSlot = 0
  private var passed = 0
  private static let memory = 128

  private let isSealed: Bool

  init(seed: UInt64, isSealed: Bool) {
    dice = Dice(seed: seed, concern: .hostility)
    self.isSealed = isSealed
  }

  /// Keeps some of what passes, old things longer than they are good for. `host`: whom it was for; nil for all.
  mutating func overhear(
    _ bytes: UnsafeRawBufferPointer, from source: SocketAddress, of sender: Int, to host: Int?, at now: Timestamp
  ) {
    passed += 1
    guard passed % 7 == 0, bytes.count <= 1_472 else { return }
    let entry = Overheard(bytes: Array(bytes), source: source, host: host, original: (sender, now))
    if overheard.count < Self.memory {
      overheard.append(entry)
    } else {
      // A random place: some of what was overheard first stays to the end.
      nextSlot = dice.int(0...(Self.memory - 1))
      overheard[nextSlot] = entry
    }
  }

  private mutating func foreignAddress() -> SocketAddress {
    SocketAddress(ip: IPAddress(v4: 0x0A42_0000 + UInt32(dice.below(200))), port: UInt16(1_024 + dice.below(8)))
  }

  /// The next thing it does, if there is anything to do it with.
  mutating func shot(_ kind: Fault, targets: [Int]) -> Shot? {
    let target = dice.pick(targets)
    switch kind {
    case .hostileBytes:
      var bytes = (0..<dice.int(0...200)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
      if dice.chance(percent: 50), bytes.count > 8 {
        // Looks like ours for a few bytes.
        bytes.replaceSubrange(0..<8, with: [0x47, 0x4C, 1, 0, 0, 0, 40, 0])
      }
      return Shot(bytes: bytes, source: foreignAddress(), hosts: [target])
    case .mutatedCopies:
      let candidates = overheard.filter { $0.bytes[0] < 0x80 }
      guard !candidates.isEmpty else { return nil }
      var bytes = dice.pick(candidates).bytes
      for _ in 0...dice.int(0...4) where !bytes.isEmpty {
        let place = dice.int(0...(bytes.count - 1))
        switch dice.below(4) {
        case 0: bytes[place] ^= 1 << UInt8(dice.below(8))
        case 1: bytes[place] = UInt8(truncatingIfNeeded: dice.next())
        case 2: bytes.removeLast(bytes.count - place)
        default: bytes.insert(0xFF, at: place)
        }
      }
      return Shot(bytes: bytes, source: foreignAddress(), hosts: [target])
    case .replays:
      guard !overheard.isEmpty else { return nil }
      let old = dice.pick(overheard)
      let isDiscovery = old.bytes[0] < 0x80
      if isSealed, dice.chance(percent: 50) {
        // As if from where it came, to anybody.
        let isGroup = dice.chance(percent: 30)
        return Shot(
          bytes: old.bytes, source: old.source, hosts: isGroup ? targets : [target], isGroup: isGroup,
          original: old.original)
      }
      if isDiscovery, dice.chance(percent: 50) {
        // From where it came, to whom it went. To somebody else, a WELCOME under its sender's address would be believed:
        // without a key nothing in it names whom it is for.
        guard old.host == nil || targets.contains(old.host!) else { return nil }
        return Shot(
          bytes: old.bytes, source: old.source, hosts: old.host.map { [$0] } ?? targets, isGroup: old.host == nil)
      }
      let isGroup = isDiscovery && dice.chance(percent: 50)
      return Shot(bytes: old.bytes, source: foreignAddress(), hosts: isGroup ? targets : [target], isGroup: isGroup)
    case .forgedSources:
      return Shot(bytes: announcement(), source: foreignAddress(), hosts: targets, isGroup: true)
    default: return nil
    }
  }

  /// An announcement of somebody who does not exist.
  private mutating func announcement() -> [UInt8] {
    let header = LongHeader(
      networkTag: 1, sender: EndpointID(1 + dice.below(40) * 500), incarnation: Incarnation(dice.next() | 1),
      packetNumber: dice.below(1_000))
    var announcement = Announcement(name: dice.chance(percent: 50) ? "endpoint-\(dice.below(20))" : "nobody")
    announcement.uptimeMilliseconds = dice.chance(percent: 50) ? dice.next() : dice.below(100_000)
    var storage = [UInt8](repeating: 0, count: 1_200)
    return storage.withUnsafeMutableBytes { storage in
      var writer = WireWriter(storage)
      header.write(to: &writer)
      _ = writer.frame(.announce, announcement)
      writer.pad(to: WireLimits.announceDatagramBytes)
      return [UInt8](writer.written)
    }
  }
}
