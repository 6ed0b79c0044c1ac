import Testing

@testable import GlueCore

@Suite struct SealTests {
  static func key(_ byte: UInt8) -> NetworkKey { NetworkKey([UInt8](repeating: byte, count: 32))! }

  /// A publisher and a subscriber that have found each other.
  private func meet(_ segment: Segment, keys: [[NetworkKey]]) throws -> PublicationID {
    let publisher = segment.start(id: 1, name: "publisher", keys: keys[0])
    let subscriber = segment.start(id: 2, name: "subscriber", keys: keys[1])
    _ = try segment.machines[subscriber]!.subscribe("secret/#", options: SubscriptionOptions(), at: segment.now)
    let publication = try segment.machines[publisher]!.advertise(
      "secret/topic", options: PublicationOptions(), at: segment.now)
    segment.run(for: .seconds(3), until: { segment.machines[0]!.matchedSubscribers(of: publication) == 1 })
    return publication
  }

  @Test func nothingReadableIsOnTheWire() throws {
    let segment = Segment()
    var seen: [[UInt8]] = []
    segment.tap = { _, bytes in seen.append(bytes) }
    let publication = try meet(segment, keys: [[Self.key(1)], [Self.key(1)]])
    let payload = Array("the payload".utf8)
    for _ in 0..<20 { try segment.publish(payload, on: publication, of: 0) }
    segment.run(for: .seconds(1))
    #expect(segment.received[1].count == 20)
    #expect(segment.received[1].allSatisfy { $0.payload == payload && $0.topic == "secret/topic" })
    #expect(seen.count > 20)
    for word in ["secret", "topic", "publisher", "subscriber", "payload"] {
      let pattern = Array(word.utf8)
      let isReadable = seen.contains { bytes in
        bytes.indices.contains { bytes[$0...].starts(with: pattern) }
      }
      #expect(!isReadable, "\(word)")
    }
  }

  @Test func fingerprintsTellKeysApart() {
    // HKDF-SHA256 of 32 bytes of 1, without salt, with the label "glue key fingerprint".
    #expect(Self.key(1).fingerprint == "103a-2e3a-7468-1ebc")
    #expect(Self.key(1).fingerprint != Self.key(2).fingerprint)
  }

  @Test func noPacketNumberIsSealedTwice() throws {
    let segment = Segment()
    var numbers: [[UInt64]] = [[], []]
    var seen: [Set<[UInt8]>] = [[], []]
    segment.tap = { index, bytes in
      // A group datagram is seen once; a repeated one would have the same bytes.
      #expect(seen[index].insert(bytes).inserted)
      let field = bytes[0] < 0x80 ? bytes[32..<36] : bytes[5..<9]
      numbers[index].append(field.reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }
    let publication = try meet(segment, keys: [[Self.key(1)], [Self.key(1)]])
    for size in 0..<200 { try segment.publish(pattern(size * 40, seed: size), on: publication, of: 0) }
    segment.run(for: .seconds(5))
    segment.machines[0]!.stop(at: segment.now)
    segment.drain(0)
    #expect(segment.received[1].count == 200)
    for numbers in numbers {
      #expect(Set(numbers).count == numbers.count && numbers.count > 20)
    }
  }

  @Test(arguments: [
    ([SealTests.key(1)], [SealTests.key(2)], KeyMismatch.Kind.otherKey, KeyMismatch.Kind.otherKey),
    ([SealTests.key(1)], [], .open, .sealed),
  ])
  func whoHasNotTheKeyIsNotHeard(
    one: [NetworkKey], other: [NetworkKey], seenByOne: KeyMismatch.Kind, seenByOther: KeyMismatch.Kind
  ) throws {
    let segment = Segment()
    _ = try meet(segment, keys: [one, other])
    segment.run(for: .seconds(25))
    for (index, kind) in [seenByOne, seenByOther].enumerated() {
      #expect(segment.machines[index]!.peers.isEmpty)
      let mismatches = segment.events[index].compactMap {
        if case .keyMismatch(let mismatch) = $0 { mismatch } else { nil }
      }
      // One for each ten seconds.
      #expect((2...3).contains(mismatches.count))
      #expect(
        mismatches.allSatisfy {
          $0.kind == kind && $0.address == segment.address(1 - index) && $0.sender == EndpointID(UInt64(2 - index))
        })
    }
  }

  @Test func aDamagedDatagramIsDropped() throws {
    let pair = Pair { $0.keys = [Self.key(3)] }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var generator = SmallGenerator(state: 1)
    pair.damages = { bytes in
      guard UInt64.random(in: 0..<3, using: &generator) == 0 else { return }
      bytes[Int.random(in: bytes.indices, using: &generator)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    }
    for number in 0..<300 {
      try pair.publish(pattern(100, seed: number), on: publication)
      pair.run(for: .milliseconds(1))
    }
    pair.run(for: .seconds(20), until: { pair.received[1].count == 300 })
    #expect(pair.received[1].map(\.payload) == (0..<300).map { pattern(100, seed: $0) })
    let forged = pair.machines[1].counters.first { $0.name == "datagrams_forged" }
    #expect(forged!.value > 50)
  }

  @Test func aRecordingChangesNothing() throws {
    let segment = Segment()
    var recording: [(from: Int, bytes: [UInt8])] = []
    segment.tap = { index, bytes in recording.append((index, bytes)) }
    let keys = [[Self.key(1)], [Self.key(1)]]
    var publication = try meet(segment, keys: keys)
    for number in 0..<50 { try segment.publish([UInt8(number)], on: publication, of: 0) }
    segment.run(for: .seconds(3))
    #expect(segment.received[1].count == 50)
    segment.tap = { _, _ in }

    func replay() {
      let peers = segment.machines.map { $0!.peers.map(\.localSession) }
      let received = segment.received.map(\.count)
      // That it replies no more often is all that it has to tell.
      func told() -> [Int] { segment.events.map { $0.count { if case .limit = $0 { false } else { true } } } }
      let events = told()
      for (from, bytes) in recording {
        for to in [0, 1] {
          // To everybody, by either way, and from the address where it came from.
          for arrival in [Arrival.unicast, .group] {
            bytes.withUnsafeBytes {
              segment.machines[to]!.receive(
                $0, from: segment.address(from), arrival: arrival, at: segment.now, receivedAt: segment.now)
            }
          }
          segment.drain(to)
        }
      }
      segment.run(for: .seconds(3))
      #expect(segment.machines.map { $0!.peers.map(\.localSession) } == peers)
      #expect(segment.received.map(\.count) == received)
      #expect(told() == events)
    }

    replay()
    // After both have started again, with the IDs they had.
    segment.start(id: 1, name: "publisher", at: 0, keys: keys[0])
    segment.start(id: 2, name: "subscriber", at: 1, keys: keys[1])
    _ = try segment.machines[1]!.subscribe("secret/#", options: SubscriptionOptions(), at: segment.now)
    publication = try segment.machines[0]!.advertise("secret/topic", options: PublicationOptions(), at: segment.now)
    segment.run(for: .seconds(3), until: { segment.machines[0]!.matchedSubscribers(of: publication) == 1 })
    #expect(segment.machines[0]!.matchedSubscribers(of: publication) == 1)
    segment.run(for: .seconds(3))
    replay()
    try segment.publish([99], on: publication, of: 0)
    segment.run(for: .seconds(1))
    #expect(segment.received[1].last?.payload == [99])
  }

  @Test func theKeyCanBeChangedWhileMessagesFlow() throws {
    let segment = Segment()
    let (old, new) = (Self.key(1), Self.key(2))
    let publication = try meet(segment, keys: [[old], [old]])
    var sent = 0
    func flow() throws {
      for _ in 0..<20 {
        try segment.publish([UInt8(truncatingIfNeeded: sent)], on: publication, of: 0)
        sent += 1
        segment.run(for: .milliseconds(50))
      }
    }
    // Everybody learns the new one, then everybody seals with it, then everybody forgets the old one.
    for keys in [[old, new], [new, old], [new]] {
      for machine in segment.machines {
        machine!.changeKeys(to: keys, at: segment.now)
        try flow()
      }
    }
    segment.run(for: .seconds(6))
    #expect(segment.received[1].count == sent)
    #expect(segment.machines[0]!.peers.count == 1 && segment.machines[1]!.peers.count == 1)
    for events in segment.events {
      let removals = events.filter {
        switch $0 {
        case .peerRemoved, .keyMismatch: true
        default: false
        }
      }
      #expect(removals.isEmpty)
    }
  }

  /// Who sends a datagram may seal it later: with the key that was meant when it was written, however the keys have changed since.
  @Test func whatIsSealedLaterIsSealedWithTheKeyOfItsHeader() throws {
    let segment = Segment()
    let (old, new) = (Self.key(1), Self.key(2))
    let publication = try meet(segment, keys: [[old], [old]])
    segment.run(for: .seconds(1))
    let payload = Array("the payload".utf8)
    let publisher = segment.machines[0]!
    _ = try payload.withUnsafeBytes { try publisher.publish($0, on: publication, at: segment.now) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)
    defer { buffer.deallocate() }
    let datagram = try #require(publisher.nextUnsealedDatagram(into: buffer, at: segment.now))
    let seal = try #require(datagram.pendingSeal)
    let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<datagram.byteCount])
    func holdsPayload() -> Bool { bytes.indices.contains { bytes[$0...].starts(with: payload) } }
    #expect(holdsPayload())
    publisher.changeKeys(to: [new], at: segment.now)
    seal.seal(bytes)
    #expect(!holdsPayload())
    segment.machines[1]!.receive(
      UnsafeRawBufferPointer(bytes), from: segment.address(0), arrival: .unicast, at: segment.now,
      receivedAt: segment.now)
    segment.drain(1)
    #expect(segment.received[1].map(\.payload) == [payload])
  }

  @Test func aForgedResetEndsNoSession() throws {
    let segment = Segment()
    var connections: [UInt32] = []
    segment.tap = { index, bytes in
      guard index == 0, bytes[0] >= 0x80 else { return }
      connections.append(bytes[1..<5].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
    let publication = try meet(segment, keys: [[Self.key(1)], [Self.key(1)]])
    try segment.publish([1], on: publication, of: 0)
    segment.run(for: .seconds(1))
    let sessions = segment.machines.map { $0!.peers.map(\.localSession) }
    let connection = try #require(connections.last)
    for _ in 0..<20 {
      let reset = WireWriter.encode(atMost: 5) { DatagramHeader.writeReset(connection: connection, to: &$0) }
      reset.withUnsafeBytes {
        segment.machines[0]!.receive(
          $0, from: segment.address(1), arrival: .unicast, at: segment.now, receivedAt: segment.now)
      }
      segment.run(for: .milliseconds(400))
    }
    #expect(segment.machines.map { $0!.peers.map(\.localSession) } == sessions)
  }

  @Test func aPeerThatForgotTheSessionIsFoundAgain() throws {
    let segment = Segment()
    let publication = try meet(segment, keys: [[Self.key(1)], [Self.key(1)]])
    try segment.publish([1], on: publication, of: 0)
    segment.run(for: .seconds(1))
    let forgetful = segment.machines[1]!
    let peer = try #require(forgetful.peers.first)
    forgetful.discovery.removePeer(peer.slot, reason: .expired, at: segment.now)
    forgetful.drainDiscovery(at: segment.now)
    segment.drain(1)
    try segment.publish([2], on: publication, of: 0)
    segment.run(for: .seconds(3))
    try segment.publish([3], on: publication, of: 0)
    segment.run(for: .seconds(1))
    #expect(segment.received[1].last?.payload == [3])
    #expect(segment.machines[0]!.peers.count == 1 && forgetful.peers.count == 1)
  }

  @Test func aKeyShowsNothingOfItself() {
    let key = Self.key(0xAB)
    #expect("\(key)" == "NetworkKey(epoch \(key.epoch))")
    var text = ""
    dump(key, to: &text)
    #expect(!text.contains("ab") && !text.contains("171"))
    #expect(NetworkKey([1, 2, 3]) == nil)
  }

  @Test func whatIsSealedIsOpenedInAnySize() throws {
    let seal = try #require(
      DatagramSeal(keys: [Self.key(1)], id: EndpointID(1), incarnation: Incarnation(2), salt: 3, networkID: 4))
    let header = ShortHeader(connection: 5, packetNumber: 6, isSealed: true, keyEpoch: seal.shortEpoch)
    let (headerBytes, number) = (WireLimits.shortHeaderBytes, UInt64(6))
    let limits = [DatagramSeal.mostBytesToCopy, DatagramSeal.mostBytesToCombine - DatagramSeal.tagBytes]
    for size in [0, 1, 14, 15, 65_000] + limits.flatMap({ $0 - 1...$0 + 1 }) {
      let plain = pattern(headerBytes + size, seed: size)
      var sealed = plain + [UInt8](repeating: 0, count: DatagramSeal.tagBytes)
      let total = sealed.withUnsafeMutableBytes {
        seal.seal($0, headerBytes: headerBytes, byteCount: plain.count, packetNumber: number)
      }
      #expect(total == sealed.count && sealed.starts(with: plain[..<headerBytes]))
      if size > 14 { #expect(!sealed.starts(with: plain)) }
      func open(_ datagram: [UInt8], number: UInt64 = number) -> [UInt8]? {
        datagram.withUnsafeBytes { seal.openOwn($0, header: header, packetNumber: number) }.map { [UInt8]($0.bytes) }
      }
      #expect(open(sealed) == Array(plain[headerBytes...]), "\(size) bytes")
      #expect(open(sealed, number: number + 1) == nil)
      #expect(open(Array(sealed.dropLast())) == nil)
      for index in [0, headerBytes, sealed.count / 2, sealed.count - 1] {
        var forged = sealed
        forged[index] ^= 1
        #expect(open(forged) == nil, "byte \(index) of \(sealed.count)")
      }
    }
    for size in 0..<headerBytes + DatagramSeal.tagBytes {
      let short = [UInt8](repeating: 0, count: size)
      #expect(short.withUnsafeBytes { seal.openOwn($0, header: header, packetNumber: number) } == nil)
    }
  }
}
