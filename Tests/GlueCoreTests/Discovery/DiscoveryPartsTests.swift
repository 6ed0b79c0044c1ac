import Testing

@testable import GlueCore

@Suite struct DiscoveryPartsTests {
  /// From the reference implementation: key 00 … 0f, input 00, 01, 02 … of each length.
  @Test func sipHashOfficialVectors() {
    let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
    let expected: [Int: UInt64] = [
      0: 0x726f_db47_dd0e_0e31, 1: 0x74f8_39c5_93dc_67fd, 2: 0x0d6c_8009_d9a9_4f5a, 3: 0x8567_6696_d7fb_7e2d,
      4: 0xcf27_94e0_2771_87b7, 5: 0x1876_5564_cd99_a68d, 6: 0xcbc9_466e_58fe_e3ce, 7: 0xab02_00f5_8b01_d137,
      8: 0x93f5_f579_9a93_2462, 15: 0xa129_ca61_49be_45e5,
    ]
    for (length, hash) in expected.sorted(by: { $0.key < $1.key }) {
      var sip = SipHash(key: key)
      var word: UInt64 = 0
      for byte in 0..<length {
        word |= UInt64(byte) << UInt64(8 * (byte % 8))
        if byte % 8 == 7 {
          sip.combine(word)
          word = 0
        }
      }
      #expect(sip.finish(tail: word, byteCount: length) == hash, "\(length) bytes")
    }
  }

  @Test func generatorRepeatsWithItsSeed() {
    var (a, b, c) = (SeededGenerator(seed: 7), SeededGenerator(seed: 7), SeededGenerator(seed: 8))
    let first = (0..<100).map { _ in a.next() }
    #expect(first == (0..<100).map { _ in b.next() })
    #expect(first != (0..<100).map { _ in c.next() })
    #expect(Set(first).count == 100)
    #expect((0..<1_000).allSatisfy { _ in (0..<6).contains(Int.random(in: 0..<6, using: &a)) })
  }

  @Test func bucketFillsAtItsRate() {
    var bucket = TokenBucket(perSecond: 5, burst: 20)
    #expect((0..<30).count { _ in bucket.take(at: milliseconds(0)) } == 20)
    #expect((0..<30).count { _ in bucket.take(at: milliseconds(1_000)) } == 5)
    #expect((0..<30).count { _ in bucket.take(at: milliseconds(1_199)) } == 0)
    #expect((0..<30).count { _ in bucket.take(at: milliseconds(1_200)) } == 1)
    #expect((0..<30).count { _ in bucket.take(at: Timestamp(nanoseconds: .max)) } == 20)
    #expect((0..<30).count { _ in bucket.take(at: milliseconds(0)) } == 0)
  }

  @Test func sessionIDsLeadToTheirPlace() throws {
    var table = PeerTable(capacity: 1_088)
    var generator = SeededGenerator(seed: 1)
    var sessions: Set<UInt32> = []
    for n in 0..<1_088 {
      let place = table.reserve(using: &generator)
      let (slot, session) = try #require(place)
      #expect(slot == n && session != 0 && session & 0x7FF == UInt32(n))
      #expect(table.isReserved(session: session) && table.slot(session: session) == nil)
      sessions.insert(session >> 11)
    }
    let tooMany = table.reserve(using: &generator)
    #expect(tooMany == nil)
    #expect(sessions.count > 1_080)
    table.release(5)
    let again = table.reserve(using: &generator)?.slot
    #expect(again == 5)
    #expect(table.slot(session: 0) == nil && !table.isReserved(session: 0))
  }

  @Test func listsComeRound() {
    var listing = Listing()
    listing.add(70)
    listing.announced(turns: 2)
    listing.add(3)
    listing.announced(turns: 2)
    #expect(listing.contains(70) && listing.contains(3) && !listing.contains(4))
    listing.announced(turns: 2)
    listing.add(3)
    listing.announced(turns: 2)
    #expect(!listing.contains(70) && listing.contains(3))
    listing.forget(3)
    #expect(!listing.contains(3))
  }

  @Test func frameSizes() {
    #expect(DiscoveryFrame.challenge(token: 0).byteCount == 11)
    #expect(DiscoveryFrame.answer(token: 0, incarnation: Incarnation(1)).byteCount == 19)
    // flags, versions, capabilities, interval (2 bytes), multiplier, uptime, interest, name, three empty lists.
    #expect(DiscoveryFrame.announce(Announcement(name: "abc")).byteCount == 3 + 7 + 2 + 1 + 1 + 1 + 4 + 3)
  }

  /// A machine that is given nonsense times and numbers stays whole.
  @Test func extremeNumbersDoNotTrap() {
    var machine = Discovery(
      configuration: DiscoveryConfiguration(),
      local: LocalIdentity(id: EndpointID(1), name: "a", incarnation: Incarnation(9)), seed: 1)
    machine.start(at: Timestamp(nanoseconds: .max - 5))
    var announcement = Announcement(name: "b")
    announcement.uptimeMilliseconds = .max
    announcement.intervalMilliseconds = .max
    announcement.leaseTenths = .max
    announcement.interestVersion = .max
    let header = LongHeader(networkTag: 1, sender: EndpointID(1), incarnation: Incarnation(.max), packetNumber: .max)
    let now = Timestamp(nanoseconds: .max)
    machine.receive(
      .announce(announcement), header: header, from: address(1), arrival: .unicast, datagramBytes: 128, at: now)
    while let action = machine.nextAction() {
      guard case .send(let frames, address(1), _) = action, case .challenge(let token)? = frames.first else { continue }
      machine.receive(
        .answer(token: token, incarnation: Incarnation(9)), header: header, from: address(1), arrival: .unicast,
        datagramBytes: 60, at: now)
      machine.receive(
        .announce(announcement), header: header, from: address(1), arrival: .unicast, datagramBytes: 128, at: now)
    }
    #expect(machine.nextWakeup == nil)
  }
}
