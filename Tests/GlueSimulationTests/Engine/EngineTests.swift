import GlueAddress
import GlueCore
import GlueSimulation
import Testing

@Suite struct EventQueueTests {
  @Test func givesEventsByTimeAndThenByOrder() {
    var queue = EventQueue<Int>()
    var dice = Dice(seed: 1, concern: .scenario)
    var expected: [(time: UInt64, number: Int)] = []
    for number in 0..<500 {
      let time = dice.below(50)
      queue.schedule(number, at: Timestamp(nanoseconds: time))
      expected.append((time, number))
    }
    expected.sort { $0.time == $1.time ? $0.number < $1.number : $0.time < $1.time }
    for (time, number) in expected {
      let next = queue.popFirst()
      #expect(next?.time.nanoseconds == time)
      #expect(next?.event == number)
    }
    #expect(queue.popFirst() == nil)
  }

  @Test func takesEventsWhileItGivesThem() {
    var queue = EventQueue<Int>()
    for number in 0..<10 { queue.schedule(number, at: Timestamp(nanoseconds: UInt64(number * 2))) }
    #expect(queue.popFirst()?.event == 0)
    queue.schedule(100, at: Timestamp(nanoseconds: 3))
    #expect(queue.popFirst()?.event == 1)
    #expect(queue.popFirst()?.event == 100)
    #expect(queue.nextTime == Timestamp(nanoseconds: 4))
    #expect(queue.count == 8)
  }
}

@Suite struct LocalClockTests {
  @Test(arguments: [0, 10_000, -10_000, 137] as [Int64])
  func findsTheVirtualTimeOfALocalOne(drift: Int64) {
    let clock = LocalClock(origin: 1 << 50, driftPerMillion: drift)
    for virtual in [0, 1, 999, 1_000_000, 59_999_999_999, 3_600_000_000_000] as [UInt64] {
      let local = clock.local(Timestamp(nanoseconds: virtual))
      let found = clock.virtual(local, notBefore: Timestamp(nanoseconds: 0))
      #expect(clock.local(found) >= local)
      #expect(found.nanoseconds <= virtual + 2_000)
    }
  }

  @Test func neverGoesBack() {
    let clock = LocalClock(origin: 0, driftPerMillion: -10_000)
    var last = clock.local(Timestamp(nanoseconds: 0))
    for virtual in stride(from: 0 as UInt64, to: 5_000_000, by: 777) {
      let local = clock.local(Timestamp(nanoseconds: virtual))
      #expect(local >= last)
      last = local
    }
  }
}

@Suite struct SimulatedNetworkTests {
  /// Sends datagrams from host 0 to host 1 a millisecond apart; gives arrivals by number.
  private func send(
    _ count: Int, over network: inout SimulatedNetwork, bytes: Int = 100, from: Int = 0, to: Int = 1,
    group: Bool = false
  ) -> [(number: Int, at: Timestamp, bytes: Int)] {
    var arrivals: [(number: Int, at: Timestamp, bytes: Int)] = []
    for number in 0..<count {
      var payload = [UInt8](repeating: 0xAA, count: bytes)
      payload[0] = UInt8(truncatingIfNeeded: number)
      let destination = group ? SimulatedNetwork.group : network.address(of: to)
      payload.withUnsafeBytes { payload in
        _ = network.send(
          payload, from: from, to: destination, at: Timestamp(nanoseconds: UInt64(number) * 1_000_000)
        ) { time, datagram in
          if datagram.host == to { arrivals.append((number, time, datagram.bytes.count)) }
        }
      }
    }
    return arrivals
  }

  @Test func aSoundLinkLosesNothingAndKeepsOrder() {
    var network = SimulatedNetwork(hosts: 2, seed: 1)
    let arrivals = send(200, over: &network)
    #expect(arrivals.map(\.number) == Array(0..<200))
    #expect(zip(arrivals, arrivals.dropFirst()).allSatisfy { $0.at <= $1.at })
  }

  @Test func losesAboutAsManyAsItShould() {
    var network = SimulatedNetwork(hosts: 2, seed: 2)
    network[0, 1].lossPerMillion = 300_000
    let arrived = send(2_000, over: &network).count
    #expect((1_300...1_500).contains(arrived))
    #expect(network.dropped(.loss) == 2_000 - UInt64(arrived))
  }

  @Test func burstsAreLongerThanChance() {
    var network = SimulatedNetwork(hosts: 2, seed: 3)
    network[0, 1].bursts = BurstLoss(beginPerMillion: 20_000, endPerMillion: 200_000, lossPerMillion: 1_000_000)
    let arrived = Set(send(5_000, over: &network).map(\.number))
    var bursts = 0
    for number in 1..<5_000 where !arrived.contains(number) && arrived.contains(number - 1) { bursts += 1 }
    let lost = 5_000 - arrived.count
    #expect(bursts > 20)
    #expect(Double(lost) / Double(bursts) > 3)
  }

  @Test func reordersAndDuplicatesOnlyWhenTold() {
    var network = SimulatedNetwork(hosts: 2, seed: 4)
    network[0, 1].reorderingPerMillion = 200_000
    network[0, 1].duplicationPerMillion = 100_000
    let arrivals = send(1_000, over: &network).sorted { $0.at < $1.at }
    #expect(arrivals.count > 1_050)
    #expect(zip(arrivals, arrivals.dropFirst()).contains { $0.number > $1.number })
    #expect(network.reordered > 0 && network.duplicated > 0)
  }

  @Test func aCloggedLinkReleasesEverythingAtOnce() {
    var network = SimulatedNetwork(hosts: 2, seed: 5)
    network[0, 1].clogsUntil = Timestamp(nanoseconds: 1_000_000_000)
    let arrivals = send(10, over: &network)
    #expect(arrivals.count == 10)
    #expect(arrivals.allSatisfy { $0.at >= Timestamp(nanoseconds: 1_000_000_000) })
  }

  @Test func partitionsTellUnicastFromMulticast() {
    var network = SimulatedNetwork(hosts: 2, seed: 6)
    network[0, 1].isGroupBlocked = true
    #expect(send(1, over: &network).count == 1)
    #expect(send(1, over: &network, group: true).isEmpty)
    network[0, 1].isGroupBlocked = false
    network[0, 1].isUnicastBlocked = true
    #expect(send(1, over: &network).isEmpty)
    #expect(send(1, over: &network, group: true).count == 1)
    #expect(send(1, over: &network, from: 1, to: 0).count == 1)
  }

  @Test func dropsWhatIsTooLargeForThePathAndRefusesWhatIsTooLargeForTheInterface() {
    var network = SimulatedNetwork(hosts: 2, seed: 7)
    network[0, 1].maximumBytes = 1_200
    #expect(send(1, over: &network, bytes: 1_201).isEmpty)
    #expect(send(1, over: &network, bytes: 1_200).count == 1)
    network[0].interfaceBytes = 1_000
    let isSent = [UInt8](repeating: 0, count: 1_001).withUnsafeBytes {
      network.send($0, from: 0, to: network.address(of: 1), at: Timestamp(nanoseconds: 0)) { _, _ in }
    }
    #expect(!isSent)
  }

  @Test func damagedDatagramsAreDroppedUnlessAskedFor() {
    var network = SimulatedNetwork(hosts: 2, seed: 8)
    network[0, 1].truncationPerMillion = 1_000_000
    #expect(send(5, over: &network).isEmpty)
    network.deliversDamaged = true
    let arrivals = send(5, over: &network)
    #expect(arrivals.count == 5)
    #expect(arrivals.allSatisfy { $0.bytes < 100 })
  }

  @Test func damagedDatagramsOfSessionsCountAsTroubleAlsoWhereTheyAreDelivered() {
    var network = SimulatedNetwork(hosts: 2, seed: 8)
    network[0, 1].truncationPerMillion = 1_000_000
    network.deliversDamaged = true
    // A short header begins with 0x80 and above: the last 72 of them.
    #expect(send(200, over: &network).count == 200)
    #expect(network.troubledBytes == 72 * 100)
  }

  @Test func aMovedHostIsReachedOnlyAtItsNewAddress() {
    var network = SimulatedNetwork(hosts: 2, seed: 9)
    let old = network.address(of: 1)
    network.move(host: 1, to: SimulatedNetwork.address(host: 1, move: 3))
    var arrivals = 0
    _ = [UInt8](repeating: 0, count: 10).withUnsafeBytes {
      network.send($0, from: 0, to: old, at: Timestamp(nanoseconds: 0)) { _, _ in arrivals += 1 }
    }
    #expect(arrivals == 0)
    #expect(network.dropped(.nobody) == 1)
    #expect(send(1, over: &network).count == 1)
  }

  @Test func aNarrowUplinkDelaysAndThenDrops() {
    var network = SimulatedNetwork(hosts: 2, seed: 10)
    network[0].bandwidth = 100_000
    let arrivals = send(1_000, over: &network, bytes: 1_000)
    #expect(arrivals.count < 200)
    #expect(network.dropped(.queue) > 0)
  }

  @Test func aSocketTakesInSoMuchAMillisecond() {
    var network = SimulatedNetwork(hosts: 2, seed: 11)
    network[1].receiveBufferBytes = 2_500
    let now = Timestamp(nanoseconds: 5_000_000)
    #expect(network.admit(1_000, at: 1, now: now) == true)
    #expect(network.admit(1_000, at: 1, now: now) == true)
    #expect(network.admit(1_000, at: 1, now: now) == false)
    #expect(network.admit(1_000, at: 1, now: now + .milliseconds(1)) == true)
  }
}

@Suite struct FilterTests {
  @Test(arguments: [
    ("a/b", "a/b", true), ("a/+", "a/b", true), ("a/+", "a/b/c", false), ("a/#", "a", true), ("a/#", "a/b/c", true),
    ("#", "a/b", true), ("#", "$a/b", false), ("+/b", "$a/b", false), ("$a/#", "$a/b", true), ("+", "a", true),
    ("+/+", "/a", true), ("a", "a/b", false), ("a/b", "a", false),
  ])
  func matchesAsMQTTSays(filter: String, topic: String, expected: Bool) {
    #expect(filterMatches(filter, topic) == expected)
  }
}
