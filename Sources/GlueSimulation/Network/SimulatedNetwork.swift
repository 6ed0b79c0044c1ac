import GlueAddress
import GlueCore

/// A network that loses, duplicates, reorders, delays, cuts and floods, as it is told. It knows hosts by number and
/// their addresses; it carries bytes and understands none of them.
package struct SimulatedNetwork {
  /// A datagram on its way into a socket.
  package struct Arriving {
    package var host: Int
    /// Who sent it; nil: an attacker. The source address may have another owner by now, or a forged one.
    package var sender: Int?
    package var source: SocketAddress
    package var isGroup: Bool
    package var bytes: [UInt8]
    package var sentAt: Timestamp
    /// Who sent first what is passed on in it, and when.
    package var original: (host: Int, sentAt: Timestamp)?
  }

  /// Why a datagram did not arrive.
  package enum Drop: Int, CaseIterable, Sendable {
    case loss, burst, partition, tooLarge, queue, checksum, nobody, receiveBuffer, notRunning
  }

  /// The multicast group that every host belongs to.
  package static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)

  /// Links of a sound network; what hosts are joined by when no fault says otherwise.
  package var baseline = LinkConditions()
  /// Damaged datagrams are delivered as they are instead of dropped: for tests of decoders alone, since without a key
  /// nothing but the checksum tells a damaged payload from a sound one.
  package var deliversDamaged = false
  /// What was lost, by cause.
  package private(set) var drops = [UInt64](repeating: 0, count: Drop.allCases.count)
  /// Bytes of datagrams within sessions that were lost or held up.
  package private(set) var troubledBytes: UInt64 = 0
  /// Datagrams that were treated so.
  package private(set) var duplicated: UInt64 = 0
  package private(set) var reordered: UInt64 = 0
  package private(set) var clogged: UInt64 = 0
  package private(set) var damaged: UInt64 = 0

  private var addresses: [SocketAddress] = []
  private var hostsByAddress: [SocketAddress: Int] = [:]
  private var links: [LinkConditions] = []
  private var isBad: [Bool] = []
  private var lastArrival: [Timestamp] = []
  private var hosts: [HostConditions] = []
  private var freeAt: [Timestamp] = []
  private var tick: [UInt64] = []
  private var tickBytes: [Int] = []
  private var dice: Dice

  /// A network of so many hosts.
  package init(hosts count: Int, seed: UInt64) {
    dice = Dice(seed: seed, concern: .network)
    addresses = (0..<count).map { Self.address(host: $0) }
    for (host, address) in addresses.enumerated() { hostsByAddress[address] = host }
    links = Array(repeating: LinkConditions(), count: count * count)
    isBad = Array(repeating: false, count: count * count)
    lastArrival = Array(repeating: Timestamp(nanoseconds: 0), count: count * count)
    hosts = Array(repeating: HostConditions(), count: count)
    freeAt = Array(repeating: Timestamp(nanoseconds: 0), count: count)
    tick = Array(repeating: 0, count: count)
    tickBytes = Array(repeating: 0, count: count)
  }

  /// The first address of a host, and those it moves to.
  package static func address(host: Int, move: Int = 0) -> SocketAddress {
    SocketAddress(
      ip: IPAddress(v4: 0xC0A8_0000 + UInt32(move % 200) << 8 + UInt32(host + 1)), port: UInt16(40_000 + host))
  }

  /// How many hosts there are.
  package var hostCount: Int { addresses.count }
  /// Where a host is now.
  package func address(of host: Int) -> SocketAddress { addresses[host] }
  /// Who is at an address now.
  package func host(at address: SocketAddress) -> Int? { hostsByAddress[address] }
  /// Datagrams lost for a cause.
  package func dropped(_ drop: Drop) -> UInt64 { drops[drop.rawValue] }

  /// Moves a host; what is sent to its old address is lost.
  package mutating func move(host: Int, to address: SocketAddress) {
    hostsByAddress[addresses[host]] = nil
    addresses[host] = address
    hostsByAddress[address] = host
  }

  /// The link from one host to another.
  package subscript(from: Int, to: Int) -> LinkConditions {
    get { links[from * addresses.count + to] }
    set { links[from * addresses.count + to] = newValue }
  }

  /// What a host can do.
  package subscript(host: Int) -> HostConditions {
    get { hosts[host] }
    set { hosts[host] = newValue }
  }

  // MARK: Carrying

  /// Sends a datagram. Each copy that will arrive is handed over with its time. False: the sender's own interface refused
  /// it for its size.
  package mutating func send(
    _ bytes: UnsafeRawBufferPointer, from host: Int, to destination: SocketAddress, at now: Timestamp,
    arriving: (Timestamp, Arriving) -> Void
  ) -> Bool {
    guard bytes.count <= hosts[host].interfaceBytes else { return false }
    var departure = now
    if let bandwidth = hosts[host].bandwidth {
      departure = max(now, freeAt[host]) + Nanoseconds(UInt64(bytes.count + 46) * 1_000_000_000 / bandwidth)
      guard departure.since(now) <= .milliseconds(250) else {
        lose(bytes, .queue)
        return true
      }
      freeAt[host] = departure
    }
    if destination.ip.isMulticast {
      guard destination == Self.group else { return true }
      // All receivers share one copy, for there may be a thousand.
      let copy = Array(bytes)
      for other in addresses.indices {
        carry(bytes, copy, from: host, to: other, isGroup: true, sentAt: now, at: departure, arriving: arriving)
      }
    } else if let other = hostsByAddress[destination] {
      carry(
        bytes, Array(bytes), from: host, to: other, isGroup: false, sentAt: now, at: departure, arriving: arriving)
    } else {
      lose(bytes, .nobody)
    }
    return true
  }

  private mutating func carry(
    _ bytes: UnsafeRawBufferPointer, _ original: [UInt8], from: Int, to: Int, isGroup: Bool, sentAt: Timestamp,
    at departure: Timestamp, arriving: (Timestamp, Arriving) -> Void
  ) {
    let index = from * addresses.count + to
    let link = links[index]
    guard from != to else {
      arriving(
        departure + .microseconds(20),
        Arriving(
          host: to, sender: from, source: addresses[from], isGroup: isGroup, bytes: original, sentAt: sentAt))
      return
    }
    if isGroup ? link.isGroupBlocked : link.isUnicastBlocked { return lose(bytes, .partition) }
    if bytes.count > link.maximumBytes { return lose(bytes, .tooLarge) }
    if dice.chance(perMillion: link.lossPerMillion) { return lose(bytes, .loss) }
    if let bursts = link.bursts, bursts.loses(&isBad[index], &dice) { return lose(bytes, .burst) }
    var copy = original
    if damage(&copy, on: link) {
      damaged += 1
      guard deliversDamaged else { return lose(bytes, .checksum) }
      // Whoever opens it drops it, and it has to be repeated as if it had been lost.
      trouble(bytes)
    }
    var arrival = departure + link.delay + dice.span(.zero...link.jitter)
    if let release = link.clogsUntil, release > departure {
      arrival = release + link.delay
      clogged += 1
      trouble(bytes)
    }
    if dice.chance(perMillion: link.reorderingPerMillion) {
      arrival = arrival + dice.span(link.delay...(link.delay + link.reorderingDelay))
      reordered += 1
      trouble(bytes)
    } else {
      // Without that fault a path is a queue: jitter overtakes nobody.
      arrival = max(arrival, lastArrival[index])
      lastArrival[index] = arrival
    }
    let datagram = Arriving(
      host: to, sender: from, source: addresses[from], isGroup: isGroup, bytes: copy, sentAt: sentAt)
    arriving(arrival, datagram)
    if dice.chance(perMillion: link.duplicationPerMillion) {
      duplicated += 1
      arriving(arrival + dice.span(.zero ... .milliseconds(3)), datagram)
    }
  }

  private mutating func damage(_ bytes: inout [UInt8], on link: LinkConditions) -> Bool {
    guard !bytes.isEmpty else { return false }
    var isDamaged = false
    if dice.chance(perMillion: link.corruptionPerMillion) {
      for _ in 0...dice.int(0...2) { bytes[dice.int(0...(bytes.count - 1))] ^= 1 << UInt8(dice.below(8)) }
      isDamaged = true
    }
    if dice.chance(perMillion: link.truncationPerMillion) {
      bytes.removeLast(dice.int(1...bytes.count))
      isDamaged = true
    }
    return isDamaged
  }

  /// Whether the socket of a host has room for what arrives; counts it if so.
  package mutating func admit(_ bytes: Int, at host: Int, now: Timestamp) -> Bool {
    let millisecond = now.nanoseconds / 1_000_000
    if tick[host] != millisecond {
      tick[host] = millisecond
      tickBytes[host] = 0
    }
    guard tickBytes[host] + bytes <= hosts[host].receiveBufferBytes else { return false }
    tickBytes[host] += bytes
    return true
  }

  /// Counts a datagram that did not reach its endpoint.
  package mutating func lose(_ bytes: UnsafeRawBufferPointer, _ drop: Drop) {
    drops[drop.rawValue] += 1
    trouble(bytes)
  }

  /// Counts a datagram that may be repeated because of what happened to it.
  package mutating func trouble(_ bytes: UnsafeRawBufferPointer) {
    if let first = bytes.first, first >= 0x80 { troubledBytes += UInt64(bytes.count) }
  }
}
