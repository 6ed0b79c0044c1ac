import GlueAddress
import Testing

@testable import GlueCore

/// Random faults, then peace: everybody alive must know everybody else, once each, and no longer the dead.
@Suite struct DiscoveryChaosTests {
  @Test(.apart, arguments: 0..<40)
  func convergesAfterFaults(seed: Int) {
    let network = DiscoveryNetwork()
    network.generator = SeededGenerator(seed: UInt64(seed))
    var random = SeededGenerator(seed: UInt64(seed) + 1_000)
    let usesRendezvous = seed % 3 == 0
    let targets = usesRendezvous ? [address(1)] : [group]
    for id in 1...6 {
      network.add(id: UInt64(id), targets: usesRendezvous && id == 1 ? [] : targets, inGroup: !usesRendezvous) {
        $0.isRendezvous = usesRendezvous && id == 1
      }
    }
    var cut: Set<Int> = []
    var lossPercent: UInt64 = 0
    network.link = { packet, random in
      let pair = packet.from * 64 + packet.to
      if cut.contains(pair) || random.next() % 100 < lossPercent { return [] }
      let copies = random.next() % 100 < 5 ? 2 : 1
      return (0..<copies).map { _ in .microseconds(100 + random.next() % 20_000) }
    }
    for index in 0..<6 { network.start(index) }
    for step in 0..<30 {
      let victim = Int(random.next() % UInt64(network.nodes.count))
      switch random.next() % 6 {
      case 0:
        cut = []
        for _ in 0..<8 { cut.insert(Int(random.next() % 16) * 64 + Int(random.next() % 16)) }
      case 1: cut = []
      case 2: lossPercent = random.next() % 31
      case 3 where victim != 0 && network.nodes[victim].isUp && network.nodes.count < 14:
        // A restart with or without goodbye, at the same address or another.
        let old = network.nodes[victim].machine.local
        if random.next() % 2 == 0 { network.stop(victim) }
        network.crash(victim)
        network.run(milliseconds: random.next() % 3_000)
        let next = network.add(
          id: old.id.rawValue, name: old.name, at: random.next() % 2 == 0 ? victim + 1 : nil, targets: targets,
          inGroup: !usesRendezvous)
        network.start(next)
      case 4 where network.nodes[victim].isUp && victim != 0:
        // A pause.
        network.nodes[victim].isUp = false
        network.run(milliseconds: random.next() % 10_000)
        network.nodes[victim].isUp = true
        network.nodes[victim].machine.advance(to: network.time)
        network.drain(victim)
      case 5 where network.nodes[victim].isUp && victim != 0:
        network.move(victim, to: 100 + step)
      default: break
      }
      network.run(milliseconds: random.next() % 2_000)
    }
    cut = []
    lossPercent = 0
    network.run(milliseconds: 40_000)
    let alive = network.nodes.indices.filter {
      network.nodes[$0].isUp && network.isDefeated($0) == nil && network.nodes[$0].machine.phase == .running
    }
    #expect(Set(alive.map { network.nodes[$0].machine.local.id }).count == alive.count)
    for a in alive {
      #expect(network.nodes[a].machine.peerCount == alive.count - 1)
      for b in alive where a < b { #expect(network.agree(a, b), "\(a) \(b)") }
      #expect(network.nodes[a].machine.handshakeCount == 0)
      // What is told fits together: nobody is added twice or removed before.
      var known: Set<EndpointID> = []
      for event in network.nodes[a].events {
        switch event {
        case .peerAdded(let info): #expect(known.insert(info.id).inserted)
        case .peerRemoved(let info, _): #expect(known.remove(info.id) != nil)
        default: break
        }
      }
    }
  }

  /// The same seed gives the same run.
  @Test func runsRepeat() {
    func run() -> [[Discovery.Action]] {
      let network = DiscoveryNetwork()
      for id in 1...8 { network.add(id: UInt64(id)) }
      network.link = { _, random in
        random.next() % 5 == 0 ? [] : [.microseconds(100 + random.next() % 30_000)]
      }
      for index in 0..<8 { network.start(index) }
      network.run(milliseconds: 5_000)
      return network.nodes.map(\.events)
    }
    #expect(run() == run())
  }
}
