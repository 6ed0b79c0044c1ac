import GlueAddress
import Testing

@testable import GlueCore

/// A peer that is hostile, or broken, decides what a datagram holds; not how much work it makes. Counted, not timed: how many
/// gaps are looked at.
@Suite struct WorkTests {
  /// Gaps at every second position, as many as there may be, and then frames that say the same again and again.
  private func peerWithGaps() throws -> HostilePeer {
    let peer = try HostilePeer(in: Pair(), topics: 1)
    for first in stride(from: 0 as UInt64, to: 4_000, by: 50) {
      peer.send { writer in
        for position in first..<first + 50 {
          HostilePeer.write(1 + 2 * position, of: peer.streams[0], to: &writer)
        }
      }
    }
    return peer
  }

  private func missing(_ peer: HostilePeer) throws -> MissingRanges {
    try #require(peer.session.inbound[peer.streams[0]]).missing
  }

  @Test func gapsAreBoundedHoweverTheyArise() throws {
    let peer = try peerWithGaps()
    #expect(try missing(peer).ranges.count == 1_024)
    // Within a gap that is known, too: what splits it makes one more.
    let other = try HostilePeer(in: Pair(), topics: 1)
    other.send { HostilePeer.write(1 << 40, of: other.streams[0], to: &$0) }
    for position in 0..<4_000 as Range<UInt64> {
      other.send { HostilePeer.write(1 + 2 * position, of: other.streams[0], to: &$0) }
    }
    #expect(try missing(other).ranges.count == 1_024)
    // The lowest gap can always be filled, so that a stream with too many gaps goes on.
    other.send { HostilePeer.write(0, of: other.streams[0], to: &$0) }
    #expect(try #require(other.session.inbound[other.streams[0]]).next == 2)
  }

  @Test func framesDoNotLookAtAllGaps() throws {
    let peer = try peerWithGaps()
    let before = try missing(peer).looks
    let frames = 400
    peer.send { writer in
      for _ in 0..<frames / 4 {
        // Known data, a gap in known data, a heartbeat.
        HostilePeer.write(1, of: peer.streams[0], to: &writer)
        HostilePeer.write(1_999, of: peer.streams[0], to: &writer)
        writer.frame(
          .gap, Gap(stream: peer.streams[0], position: 1, count: 1, nextSequence: 1, reason: .expired))
        writer.frame(.heartbeat, Heartbeat(stream: peer.streams[0], first: 0, end: 2_000))
      }
    }
    // A STATUS or two look at each gap, once to see whether it is due and once to ask for it; the frames do not.
    #expect(try missing(peer).looks - before <= 6 * 1_024)
  }

  /// From when the first gap was due until a STATUS was written, each datagram looked at all gaps of all streams.
  @Test func datagramsBeforeAnAnswerDoNotLookAtAllGaps() throws {
    let peer = try peerWithGaps()
    peer.pair.now = peer.pair.now + .seconds(5)
    let before = try missing(peer).looks
    for _ in 0..<100 { peer.sendOneOfMany { HostilePeer.write(1, of: peer.streams[0], to: &$0) } }
    let after = try missing(peer).looks
    #expect(after - before <= 1_024)
    // The answer asks for what is due.
    peer.pair.drain(1)
    #expect(try missing(peer).looks > after)
  }

  @Test func oneGapCanEndThousands() throws {
    let peer = try peerWithGaps()
    let before = try missing(peer).looks
    peer.send {
      $0.frame(
        .gap,
        Gap(stream: peer.streams[0], position: 0, count: 1 << 61, nextSequence: 1 << 61, reason: .evicted))
    }
    #expect(try missing(peer).isEmpty)
    #expect(try missing(peer).looks - before <= 2 * 1_024)
    #expect(try #require(peer.session.inbound[peer.streams[0]]).bufferedBytes == 0)
  }

  @Test func runsAheadOfAHoleAreBounded() throws {
    let peer = try HostilePeer(in: Pair(), topics: 1)
    // From the outside in, so that each one belongs in the middle.
    for step in 0..<300 as Range<UInt64> {
      peer.send { writer in
        for index in step * 20..<(step + 1) * 20 {
          HostilePeer.write(1 + index, of: peer.streams[0], to: &writer)
          HostilePeer.write(20_000 - index, of: peer.streams[0], to: &writer)
        }
      }
    }
    let stream = try #require(peer.session.inbound[peer.streams[0]])
    #expect(stream.reorder.count <= 4_096)
    #expect(stream.reorder.count > 4_000)
  }

  /// What was furthest ahead was let go of for them, and had to be sent again.
  @Test(arguments: [false, true]) func duplicatesAndWhatIsRefusedTakeNoPlace(isGap: Bool) throws {
    let pair = Pair {
      $0.transport.streamWindowBytes = 4_096
      $0.transport.maximumGaps = 16
    }
    let peer = try HostilePeer(in: pair, topics: 1)
    // Sixteen gaps, the first of which can be split, and then as much as there is room for.
    let ahead = Array(stride(from: 10 as UInt64, to: 42, by: 2)) + Array(41..<200)
    for position in ahead { peer.send { HostilePeer.write(position, of: peer.streams[0], to: &$0) } }
    let stream = try #require(peer.session.inbound[peer.streams[0]])
    let (count, last) = (stream.reorder.count, try #require(stream.reorder.last))
    #expect(stream.missing.ranges.count == 16 && count < ahead.count)
    for position in [10, 12, 5] as [UInt64] {
      peer.send { writer in
        if isGap {
          writer.frame(
            .gap,
            Gap(stream: peer.streams[0], position: position, count: 1, nextSequence: position, reason: .expired))
        } else {
          HostilePeer.write(position, of: peer.streams[0], to: &writer)
        }
      }
      #expect(stream.reorder.count == count && stream.reorder.last?.range == last.range, "\(position)")
    }
    // What is needed sooner than what waits, and new, has precedence.
    peer.send { HostilePeer.write(11, of: peer.streams[0], to: &$0) }
    #expect(stream.reorder.count == count && stream.reorder.last?.range != last.range)
  }

  @Test func requestsOfAReaderAreBounded() throws {
    let pair = Pair { $0.transport.maximumGaps = 16 }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    for _ in 0..<100 { try pair.publish([1], on: publication) }
    let reader = try #require(pair.machines[0].sessions.values[0].readers[publication.rawValue])
    for _ in 0..<10 {
      let ranges = (0..<30 as Range<UInt64>).map { $0 * 2..<$0 * 2 + 1 }
      _ = reader.receive(
        Status(stream: publication.rawValue, next: 0, windowBytes: 1 << 40, missing: ranges), in: .max, at: pair.now,
        into: pair.machines[0].inbox)
    }
    #expect(reader.requestCount == 16)
    #expect(pair.machines[0].inbox.limits[.maximumGaps] == 140)
  }

  @Test func requestsAreKeptInOrderAndOnce() {
    var requests = RequestedRanges(limit: 3)
    // What waits, even in part, takes no more room; what does not finds none.
    let taken = [10..<20, 0..<5, 30..<31, 15..<25, 0..<1, 40..<50].map { requests.insert($0) }
    #expect(taken == [true, true, true, true, true, false])
    #expect(requests.first == 0..<5)
    requests.trimFirst(to: 3)
    #expect(requests.first == 3..<5)
    requests.remove(below: 12)
    #expect(requests.first == 10..<20 && requests.count == 2)
    requests.remove(below: 31)
    #expect(requests.isEmpty)
  }

  /// Refusals were told to a peer that took none of them, without end.
  @Test(.apart) func aPeerThatListensToNothingIsToldNothingForEver() throws {
    let pair = Pair {
      $0.topics.streamsPerPeer = 1
      $0.topics.controlBytes = 2 << 20
    }
    let peer = try HostilePeer(in: pair, topics: 1)
    pair.drops = { sender, _ in sender == 1 }
    let before = try #require(peer.session.inbound[Session.controlStream]).next
    var position = before
    for _ in 0..<600 {
      peer.send { writer in
        let start = writer.beginFrame(.data)
        DataHeader(stream: 0, position: position, lag: 0, ageMicroseconds: 0).write(to: &writer)
        for _ in 0..<1_000 {
          let opening = ControlMessage.open(
            StreamOpening(
              stream: 1 << 40, topic: "t", type: nil, isReliable: true, epochMicroseconds: 0, position: 0, sequence: 0))
          let body = opening.encoded()
          Unit.writeHeader(
            to: &writer, flags: [.first, .last], length: body.count, timeMicroseconds: 0, lifetimeMicroseconds: nil,
            totalBytes: UInt64(body.count))
          writer.bytes(body)
          position += 1
        }
        _ = writer.endFrame(start)
      }
    }
    #expect(try #require(peer.session.inbound[Session.controlStream]).next == before + 600_000)
    #expect(peer.session.control.stream.log.byteCount <= 4 << 20 + 100)
    #expect(peer.victim.inbox.limits[.controlBytes] > 0)
  }

  /// A subscription that came right behind one of very many topics was dropped for ever, and nobody was told.
  @Test func aSubscriptionBeyondWhatAPeerHasToAcknowledgeIsRefused() throws {
    let pair = Pair {
      $0.topics.streamsPerPeer = 10_000
      $0.topics.controlBytes = 65_536
    }
    for number in 0..<4_000 {
      _ = try pair.machines[0].advertise("topic/\(number)", options: PublicationOptions(), at: pair.now)
    }
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("topic/1", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    let refused = pair.events[1].compactMap { event -> String? in
      if case .subscriptionRefused(let filter, _) = event { filter } else { nil }
    }
    #expect(refused == ["topic/1"])
    let publisher = pair.machines[0]
    #expect(publisher.inbox.limits[.controlBytes] == 1)
    // Once the openings are acknowledged there is room again.
    let session = try #require(publisher.sessions.values.first)
    #expect(session.readers.count == 4_000)
    _ = try pair.machines[1].subscribe("topic/1", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    #expect(session.subscriptions.count == 2)
  }
}

@Suite struct EvictionTests {
  @Test func eachEvictionKeepsItsReason() {
    var evictions = Evictions()
    evictions.note(below: 10, nextSequence: 5, reason: .dropped)
    evictions.note(below: 12, nextSequence: 6, reason: .dropped)
    evictions.note(below: 20, nextSequence: 9, reason: .evicted)
    evictions.note(below: 20, nextSequence: 9, reason: .dropped)
    let first = evictions.of(3, logFirst: 20, sequence: 9)
    #expect(first == (12, 6, .dropped))
    let second = evictions.of(12, logFirst: 20, sequence: 9)
    #expect(second == (20, 9, .evicted))
    for index in 0..<1_000 as Range<UInt64> {
      evictions.note(below: 21 + index, nextSequence: 10 + index, reason: index % 2 == 0 ? .dropped : .evicted)
    }
    let last = evictions.of(1_019, logFirst: 1_020, sequence: 1_009)
    #expect(last == (1_020, 1_009, .evicted))
  }

  /// A later reason was told for what had been evicted earlier.
  @Test func aReaderHearsWhyEachMessageWasLost() throws {
    let pair = Pair { $0.transport.sendBufferBytes = 10_000 }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    func publish(_ count: Int, _ behaviour: FullBufferBehaviour) throws {
      for _ in 0..<count {
        _ = try pattern(400, seed: 1).withUnsafeBytes {
          try pair.machines[0].publish($0, on: publication, whenFull: behaviour, at: pair.now)
        }
      }
      pair.drain(0)
    }
    try publish(30, .dropOldest)
    // Now nobody but a laggard holds anything, which loses it for want of room.
    try publish(30, .refuse)
    pair.drops = { _, _ in false }
    pair.run(for: .seconds(3))
    #expect(Set(pair.losses.map(\.reason)) == [.dropped, .evicted])
    #expect(pair.losses.map(\.sequences.count).reduce(0, +) + pair.received[1].count == 60)
  }
}
