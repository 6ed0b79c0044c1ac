import ArgumentParser
import Foundation
import GlueAddress
import GlueCore
import GlueNetwork

/// Somebody on the network who hears the announcements there, and forges datagrams from any address, as fast as possible.
struct Strangers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Garbage, and well-formed forged datagrams from any source address, at full speed.",
    discussion: "Listens until it knows the endpoints, says so, and begins when its standard input ends.")

  @OptionGroup var options: AttackOptions
  @Option(help: "Only datagrams in the name of this IPv4 address: what does it get?")
  var victim: String?
  @Option(help: "Datagrams per second; without it as fast as possible.")
  var rate: Double?

  func run() throws {
    let heard = try Overheard(count: options.endpoints, interface: options.interface)
    print("{\"heard\":\(heard.endpoints.count)}")
    fflush(nil)
    while readLine() != nil {}
    let victimAddress = try victim.map { try IPAddress($0) }
    let forger = Forger(heard: heard, victim: victimAddress)
    let shots = (0..<4_096).map { _ in forger.shot() }
    let sender = try RawSender(interface: options.interface)
    let start = MonotonicClock.nowNanoseconds()
    let end = start + UInt64(options.seconds * 1e9)
    var random = SystemRandomNumberGenerator()
    var counts: [Kind: Int] = [:]
    var sent = 0
    var now = start
    while now < end {
      for index in 0..<64 {
        var shot = shots[(sent + index) % shots.count]
        shot.vary(using: &random)
        if sender.send(shot) { counts[shot.kind, default: 0] += 1 }
      }
      sent += 64
      now = MonotonicClock.nowNanoseconds()
      if let rate {
        let due = start + UInt64(Double(sent) / rate * 1e9)
        if due > now { usleep(UInt32((due - now) / 1_000)) }
      }
    }
    let list = Kind.allCases.map { "\"\($0)\":\(counts[$0] ?? 0)" }.joined(separator: ",")
    print("{\(list),\"seconds\":\(options.seconds)}")
  }
}

/// What is forged.
enum Kind: CaseIterable {
  case garbage, announcement, claim, leaving, clash, challenge, answer, reset
}

/// What the announcements on the network tell about the endpoints there.
struct Overheard {
  struct Endpoint {
    var address: SocketAddress
    var header: LongHeader
    /// Nil where it is sealed.
    var name: String?
  }

  static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
  private(set) var endpoints: [Endpoint] = []

  /// Listens until so many endpoints have announced themselves.
  init(count: Int, interface name: String) throws {
    let interface = try NetworkInterface.named(name)
    let socket = try DatagramSocket(binding: Self.group, options: .sharedPort)
    try socket.join(group: Self.group.ip, on: interface)
    let batch = ReceiveBatch()
    while endpoints.count < count {
      try socket.receive(into: batch)
      for index in 0..<batch.count {
        var reader = WireReader(batch[index].bytes)
        guard case .long(let header)? = try? DatagramHeader.read(from: &reader),
          !endpoints.contains(where: { $0.header.sender == header.sender })
        else { continue }
        var frames = FrameReader(reader)
        let announcement = header.seal == nil ? try? frames.next()?.decode(Announcement.self) : nil
        endpoints.append(Endpoint(address: batch[index].source, header: header, name: announcement?.name))
      }
      usleep(1_000)
    }
  }
}

/// A forged datagram: a whole IPv4 packet, and what of it is new each time.
struct Shot {
  static let headerBytes = 28
  var kind: Kind
  var packet: [UInt8]
  var destination: UInt32
  var hasNewSource = false
  var hasNewSender = false
  var hasNewIncarnation = false

  mutating func vary(using random: inout SystemRandomNumberGenerator) {
    let fresh = random.next()
    if hasNewSource { put(UInt32(truncatingIfNeeded: 0x0A40_0000 | fresh & 0x3F_FFFF).bigEndian, at: 12) }
    guard packet.count >= Self.headerBytes + 40, packet[Self.headerBytes] < 0x80, kind != .garbage else { return }
    if hasNewSender { put((fresh | 1).littleEndian, at: Self.headerBytes + 16) }
    if hasNewIncarnation { put((fresh &* 31 | 1).littleEndian, at: Self.headerBytes + 24) }
    put((fresh >> 8).littleEndian, at: Self.headerBytes + 32)
  }

  private mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    packet.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: T.self) }
  }
}

/// Makes forged datagrams.
struct Forger {
  let heard: Overheard
  let victim: IPAddress?

  func shot() -> Shot {
    let target = heard.endpoints.randomElement()!
    let other = heard.endpoints.first { $0.address != target.address } ?? target
    let toGroup = Bool.random()
    let destination = toGroup ? Overheard.group : target.address
    let stranger =
      victim.map { SocketAddress(ip: $0, port: 5_000) } ?? SocketAddress(ip: IPAddress(v4: 0x0A40_0001), port: 7_000)
    if victim != nil {
      // What would be answered: announcements of ever new endpoints, challenges, and their WELCOMEs' kin.
      var shot =
        Bool.random()
        ? packet(.announcement, target.header, announcement("nobody"), from: stranger, to: destination)
        : packet(.challenge, target.header, challenge, from: stranger, to: target.address)
      shot.hasNewSender = true
      shot.hasNewIncarnation = true
      return shot
    }
    switch Kind.allCases.randomElement()! {
    case .garbage:
      var bytes = (0..<Int.random(in: 0...300)).map { _ in UInt8.random(in: 0...255) }
      if Bool.random(), bytes.count > 8 { bytes.replaceSubrange(0..<8, with: [0x47, 0x4C, 1, 0, 0, 0, 40, 0]) }
      if Bool.random(), bytes.count > 8 { bytes[0] = 0x80 }
      var shot = packet(.garbage, bytes, from: stranger, to: destination)
      shot.hasNewSource = true
      return shot
    case .announcement:
      var shot = packet(.announcement, target.header, announcement("nobody"), from: stranger, to: destination)
      (shot.hasNewSource, shot.hasNewSender, shot.hasNewIncarnation) = (true, true, true)
      return shot
    case .claim:
      let isID = Bool.random()
      let name = isID ? "somebody" : target.name ?? "somebody"
      var shot = packet(.claim, target.header, announcement(name, uptime: 1 << 40), from: stranger, to: destination)
      (shot.hasNewSource, shot.hasNewSender, shot.hasNewIncarnation) = (true, !isID, true)
      return shot
    case .leaving:
      return packet(
        .leaving, other.header, announcement(other.name ?? "x", isLeaving: true), from: other.address, to: destination)
    case .clash:
      return packet(
        .clash, other.header,
        { writer in
          _ = writer.frame(
            .clash,
            Clash(
              kind: .endpointID, token: 0, holder: target.header.sender, incarnation: Incarnation(5),
              uptimeMilliseconds: 1 << 40, name: "x"))
        }, from: Bool.random() ? stranger : SocketAddress(ip: other.address.ip, port: 1), to: target.address)
    case .challenge:
      return packet(.challenge, other.header, challenge, from: other.address, to: target.address)
    case .answer:
      var shot = packet(
        .answer, other.header,
        { writer in
          _ = writer.frame(.answer, Answer(token: .random(in: 0 ... .max), incarnation: target.header.incarnation))
        }, from: stranger, to: target.address)
      shot.hasNewSource = true
      return shot
    case .reset:
      let bytes: [UInt8] = [0x81] + (0..<4).map { _ in UInt8.random(in: 0...255) }
      return packet(.reset, bytes, from: other.address, to: target.address)
    }
  }

  private func announcement(
    _ name: String, uptime: UInt64 = 0, isLeaving: Bool = false
  ) -> (inout WireWriter) -> Void {
    { writer in
      var announcement = Announcement(name: name)
      announcement.uptimeMilliseconds = uptime
      announcement.isLeaving = isLeaving
      _ = writer.frame(.announce, announcement)
    }
  }

  private var challenge: (inout WireWriter) -> Void {
    { writer in _ = writer.frame(.challenge, Challenge(token: .random(in: 0 ... .max))) }
  }

  /// With a header like that of an endpoint that was heard: where those are sealed, it is well-formed and does not open.
  private func packet(
    _ kind: Kind, _ header: LongHeader, _ frames: (inout WireWriter) -> Void, from source: SocketAddress,
    to destination: SocketAddress
  ) -> Shot {
    var storage = [UInt8](repeating: 0, count: 1_200)
    let payload = storage.withUnsafeMutableBytes { storage in
      var writer = WireWriter(storage)
      header.write(to: &writer)
      frames(&writer)
      writer.pad(to: 160)
      return [UInt8](writer.written)
    }
    return packet(kind, payload, from: source, to: destination)
  }

  private func packet(
    _ kind: Kind, _ payload: [UInt8], from source: SocketAddress, to destination: SocketAddress
  ) -> Shot {
    func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    let from = UInt32(truncatingIfNeeded: source.ip.low)
    let to = UInt32(truncatingIfNeeded: destination.ip.low)
    let udpBytes = UInt16(8 + payload.count)
    // The system fills in the lengths, the identification and the checksum of the IP header; UDP can do without.
    var packet: [UInt8] = [0x45, 0] + bytes(20 + udpBytes) + [0, 0, 0x40, 0, 64, 17, 0, 0] + bytes(from) + bytes(to)
    packet += bytes(source.port) + bytes(destination.port) + bytes(udpBytes) + [0, 0] + payload
    return Shot(kind: kind, packet: packet, destination: to)
  }
}

/// Sends IPv4 packets as they are.
final class RawSender {
  private let descriptor: Int32

  init(interface name: String) throws {
    #if os(Linux)
      descriptor = socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_RAW))
      guard descriptor >= 0 else { throw ValidationError("no raw socket: \(String(cString: strerror(errno)))") }
      var choice = ip_mreqn()
      choice.imr_ifindex = Int32(try NetworkInterface.named(name).index)
      setsockopt(descriptor, Int32(IPPROTO_IP), IP_MULTICAST_IF, &choice, socklen_t(MemoryLayout<ip_mreqn>.size))
    #else
      throw ValidationError("raw sockets are used on Linux only")
    #endif
  }

  deinit { close(descriptor) }

  func send(_ shot: Shot) -> Bool {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = shot.destination.bigEndian
    return shot.packet.withUnsafeBytes { packet in
      withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(descriptor, packet.baseAddress, packet.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) >= 0
        }
      }
    }
  }
}
