import GlueAddress

@testable import GlueCore

let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)

/// The group on a second network that joins the same endpoints.
let groupB = SocketAddress(ip: group.ip, port: 27_320, scope: 3)

let groupV6 = SocketAddress(ip: IPAddress(v6High: 0xFF12 << 48, low: 0xEFC0_8901), port: 27_320)

func milliseconds(_ n: UInt64) -> Timestamp { Timestamp(nanoseconds: n * 1_000_000) }

func address(_ n: Int) -> SocketAddress {
  SocketAddress(ip: IPAddress(v4: 0x0A00_0000 + UInt32(n)), port: 4_000)
}

/// An address in the second network.
func addressB(_ n: Int) -> SocketAddress {
  SocketAddress(ip: IPAddress(v4: 0x0A01_0000 + UInt32(n)), port: 4_000)
}

func addressV6(_ n: Int) -> SocketAddress {
  SocketAddress(ip: IPAddress(v6High: 0xFE80 << 48, low: UInt64(n)), port: 4_000, scope: 2)
}

/// Several discovery machines on one network in virtual time. What the transport would do, an exchange of datagrams in each
/// new session, is done by `hello`.
final class DiscoveryNetwork {
  final class Node {
    var machine: Discovery
    var address: SocketAddress
    var isUp = true
    /// Its address of the other family, if it has both or that one only.
    var addressV6: SocketAddress?
    var hasV4 = true
    /// Its address in the second network, if it is there.
    var addressB: SocketAddress?
    let inGroup: Bool
    var packetNumber: UInt64 = 0
    var wakeAt: UInt64 = .max
    var events: [Discovery.Action] = []
    var sentFrames = 0
    var sentBytes = 0
    var announcements = 0

    init(machine: Discovery, address: SocketAddress, inGroup: Bool) {
      self.machine = machine
      self.address = address
      self.inGroup = inGroup
    }
  }
  enum Payload {
    case frames([DiscoveryFrame], LongHeader, bytes: Int)
    case hello(UInt32, isReply: Bool, mine: UInt32)
    case bye(UInt32, ByeReason)
    case introduce(UInt32, ControlMessage)
    case reset(UInt32)
  }
  struct Packet {
    var payload: Payload
    var from: Int
    var source: SocketAddress
    var to: Int
    var arrival: Arrival
  }
  private enum Event {
    case packet(Packet)
    case wake(Int)
    case hello(Int, PeerInfo, tries: Int)
  }

  var nodes: [Node] = []
  var now: UInt64 = 1_000_000_000
  var generator = SeededGenerator(seed: 42)
  /// One-way delays of the copies that arrive; none: lost.
  var link: (_ packet: Packet, _ random: inout SeededGenerator) -> [Nanoseconds] = { _, _ in [.milliseconds(1)] }
  var onSend: ((Packet) -> Void)?
  /// Small entries, since they are moved often; the events wait beside it.
  private var heap: [(at: UInt64, order: UInt64)] = []
  private var events: [UInt64: Event] = [:]
  private var order: UInt64 = 0
  private var places: [SocketAddress: [Int]] = [:]

  var time: Timestamp { Timestamp(nanoseconds: now) }

  @discardableResult
  func add(
    id: UInt64, name: String? = nil, incarnation: UInt64? = nil, at place: Int? = nil,
    targets: [SocketAddress] = [group],
    inGroup: Bool = true, configure: (inout DiscoveryConfiguration) -> Void = { _ in }
  ) -> Int {
    var configuration = DiscoveryConfiguration()
    configuration.targets = targets
    configure(&configuration)
    let index = nodes.count
    let local = LocalIdentity(
      id: EndpointID(id), name: name ?? "endpoint \(id)",
      incarnation: Incarnation(incarnation ?? 1 + generator.next() >> 1))
    places[address(place ?? index + 1), default: []].append(index)
    nodes.append(
      Node(
        machine: Discovery(configuration: configuration, local: local, seed: generator.next()),
        address: address(place ?? index + 1), inGroup: inGroup))
    return index
  }

  /// Gives a node IPv6 besides IPv4, or instead of it.
  func addV6(_ index: Int, only: Bool = false) {
    nodes[index].addressV6 = addressV6(index + 1)
    places[addressV6(index + 1), default: []].append(index)
    nodes[index].hasV4 = !only
  }

  /// Joins a node to the second network too.
  func addB(_ index: Int) {
    nodes[index].addressB = addressB(index + 1)
    places[addressB(index + 1), default: []].append(index)
  }

  /// A node sends each peer a datagram in its session.
  func chat(_ index: Int) {
    for info in nodes[index].machine.peers {
      transmit(.hello(info.remoteSession, isReply: true, mine: info.localSession), from: index, to: info.address)
    }
  }

  func start(_ index: Int) {
    nodes[index].machine.start(at: time)
    drain(index)
  }
  func stop(_ index: Int) {
    nodes[index].machine.stop(at: time)
    drain(index)
  }
  func crash(_ index: Int) { nodes[index].isUp = false }
  func move(_ index: Int, to place: Int) {
    places[nodes[index].address, default: []].removeAll { $0 == index }
    nodes[index].address = address(place)
    places[address(place), default: []].append(index)
  }

  func run(milliseconds: UInt64) { run(until: now + milliseconds * 1_000_000) }

  /// Runs until the condition holds; gives the milliseconds that it took, or nil.
  func run(atMost milliseconds: UInt64, until condition: () -> Bool) -> UInt64? {
    let start = now
    while now < start + milliseconds * 1_000_000 {
      if condition() { return (now - start) / 1_000_000 }
      run(until: now + 1_000_000)
    }
    return condition() ? milliseconds : nil
  }

  /// Lets time pass while everybody talks to everybody.
  func talk(milliseconds: UInt64) {
    for _ in 0..<(milliseconds / 20) {
      for index in nodes.indices where nodes[index].isUp { chat(index) }
      run(milliseconds: 20)
    }
  }

  /// How often sessions have gone to another address.
  var moves: Int {
    nodes.reduce(0) { total, node in
      var addresses: [EndpointID: SocketAddress] = [:]
      var moves = 0
      for event in node.events {
        switch event {
        case .peerAdded(let info): addresses[info.id] = info.address
        case .peerUpdated(let info) where addresses[info.id] != info.address:
          addresses[info.id] = info.address
          moves += 1
        default: break
        }
      }
      return total + moves
    }
  }

  /// Where one reaches another.
  func peerAddress(_ a: Int, of b: Int) -> SocketAddress? { nodes[a].machine.peer(nodes[b].machine.local.id)?.address }

  func arePeers(_ a: Int, _ b: Int) -> Bool { knows(a, b) && knows(b, a) }
  func knows(_ a: Int, _ b: Int) -> Bool {
    guard let info = nodes[a].machine.peer(nodes[b].machine.local.id) else { return false }
    return info.incarnation == nodes[b].machine.local.incarnation
  }
  /// Whether the sessions of two agree on each other's IDs.
  func agree(_ a: Int, _ b: Int) -> Bool {
    guard let ab = nodes[a].machine.peer(nodes[b].machine.local.id),
      let ba = nodes[b].machine.peer(nodes[a].machine.local.id)
    else { return false }
    return ab.localSession == ba.remoteSession && ab.remoteSession == ba.localSession
  }
  func isDefeated(_ index: Int) -> ClashReport? {
    for case .defeated(let report) in nodes[index].events { return report }
    return nil
  }
  func removals(_ index: Int) -> [PeerRemovalReason] {
    nodes[index].events.compactMap { if case .peerRemoved(_, let reason) = $0 { reason } else { nil } }
  }
  func clashes(_ index: Int) -> [ClashReport] {
    nodes[index].events.compactMap { if case .clash(let report) = $0 { report } else { nil } }
  }
  func introductions(_ index: Int) -> Int {
    nodes[index].events.reduce(0) { if case .introduce = $1 { $0 + 1 } else { $0 } }
  }

  // MARK: Machinery

  private func run(until end: UInt64) {
    while let first = heap.first, first.at <= end {
      let (at, order) = pop()
      let event = events.removeValue(forKey: order)!
      now = max(now, at)
      switch event {
      case .wake(let index):
        guard nodes[index].wakeAt == at else { continue }
        nodes[index].wakeAt = .max
        guard nodes[index].isUp else { continue }
        nodes[index].machine.advance(to: time)
        drain(index)
      case .packet(let packet):
        guard nodes[packet.to].isUp else { continue }
        deliver(packet)
        drain(packet.to)
      case .hello(let index, let peer, let tries):
        guard nodes[index].isUp, let info = nodes[index].machine.peer(slot: peer.slot),
          info.localSession == peer.localSession
        else { continue }
        // The transport repeats until it is answered.
        if tries < 5 && nodes[index].machine.table[peer.slot].isConfirmed { continue }
        transmit(.hello(info.remoteSession, isReply: false, mine: info.localSession), from: index, to: info.address)
        if tries > 1 { push(.hello(index, peer, tries: tries - 1), at: now + 50_000_000) }
      }
    }
    now = max(now, end)
  }

  private func deliver(_ packet: Packet) {
    let index = packet.to
    switch packet.payload {
    case .frames(let frames, let header, let bytes):
      for frame in frames {
        nodes[index].machine.receive(
          frame, header: header, from: packet.source, arrival: packet.arrival, datagramBytes: bytes, at: time)
      }
    case .hello(let session, let isReply, let mine):
      if nodes[index].machine.signOfLife(session: session, from: packet.source, at: time) != nil {
        if !isReply { transmit(.hello(mine, isReply: true, mine: session), from: index, to: packet.source) }
      } else if !nodes[index].machine.isHandshake(session: session) {
        transmit(.reset(session), from: index, to: packet.source)
      }
    case .bye(let session, let reason):
      guard let peer = nodes[index].machine.peer(session: session) else { return }
      nodes[index].machine.receiveBye(from: peer.id, reason: reason, at: time)
    case .introduce(let session, let message):
      guard let peer = nodes[index].machine.peer(session: session),
        case .introduce(let introduction) = message
      else { return }
      nodes[index].machine.signOfLife(session: session, from: packet.source, at: time)
      nodes[index].machine.receive(introduction, from: peer.id, at: time)
    case .reset(let session):
      nodes[index].machine.receiveReset(connection: session, from: packet.source, at: time)
    }
  }

  func drain(_ index: Int) {
    while let action = nodes[index].machine.nextAction() {
      switch action {
      case .send(let frames, let to, let minimum):
        nodes[index].packetNumber += 1
        nodes[index].sentFrames += 1
        let local = nodes[index].machine.local
        let header = LongHeader(
          networkTag: 1, sender: local.id, incarnation: local.incarnation, packetNumber: nodes[index].packetNumber)
        let bytes = max(minimum, frames.reduce(WireLimits.longHeaderBytes) { $0 + $1.byteCount })
        precondition(bytes <= WireLimits.baseDatagramBytes)
        nodes[index].sentBytes += bytes
        if case .announce? = frames.first { nodes[index].announcements += 1 }
        transmit(.frames(frames, header, bytes: bytes), from: index, to: to)
      case .introduce(let message, let to):
        nodes[index].events.append(action)
        if let info = nodes[index].machine.peer(to) {
          transmit(.introduce(info.remoteSession, message), from: index, to: info.address)
        }
      case .sendBye(let info, let reason):
        transmit(.bye(info.remoteSession, reason), from: index, to: info.address)
      case .peerAdded(let info):
        nodes[index].events.append(action)
        push(.hello(index, info, tries: 5), at: now)
      default:
        nodes[index].events.append(action)
      }
    }
    if let wake = nodes[index].machine.nextWakeup?.nanoseconds, wake < nodes[index].wakeAt || nodes[index].wakeAt <= now
    {
      nodes[index].wakeAt = max(wake, now)
      push(.wake(index), at: max(wake, now))
    }
  }

  private func transmit(_ payload: Payload, from: Int, to: SocketAddress) {
    let isV6 = to.ip.family == .v6
    let isB = to == groupB || to.ip.low >> 16 == 0x0A01
    func ownAddress(_ node: Node) -> SocketAddress? {
      isV6 ? node.addressV6 : isB ? node.addressB : node.hasV4 ? node.address : nil
    }
    guard let source = ownAddress(nodes[from]) else { return }
    let isGroup = to == group || to == groupB || to == groupV6
    let receivers = isGroup ? nodes.indices.filter { nodes[$0].inGroup } : places[to, default: []]
    for index in receivers where nodes[index].isUp && ownAddress(nodes[index]) != nil {
      let packet = Packet(
        payload: payload, from: from, source: source, to: index, arrival: isGroup ? .group : .unicast)
      onSend?(packet)
      for delay in link(packet, &generator) { push(.packet(packet), at: now + delay.count) }
    }
  }

  private func push(_ event: Event, at: UInt64) {
    order += 1
    heap.append((at, order))
    events[order] = event
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private func pop() -> (at: UInt64, order: UInt64) {
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) { least = child }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].at, heap[a].order) < (heap[b].at, heap[b].order) }
}
