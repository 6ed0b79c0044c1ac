import Testing

@testable import GlueCore

/// Subscriptions whose deliveries pile up.
@Suite struct StuckSubscriptionTests {
  private func subscribe(_ pair: Pair, holdsBack: Bool = false) throws -> SubscriptionID {
    try pair.machines[1].subscribe("t", options: SubscriptionOptions(holdsBackPublisher: holdsBack), at: pair.now)
  }

  /// What the second machine delivers of one message of the first one.
  private func deliveries(_ pair: Pair, _ publication: PublicationID) throws -> [Delivery] {
    let payload = pattern(1_000, seed: 1)
    _ = try payload.withUnsafeBytes { try pair.machines[0].publish($0, on: publication, at: pair.now) }
    var deliveries: [Delivery] = []
    pair.takes = { deliveries.append($0) }
    pair.drain(0)
    pair.run(for: .milliseconds(1))
    return deliveries
  }

  @Test func holdsThePublisherBackWhereItIsAlone() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    let subscription = try subscribe(pair)
    pair.settle()
    #expect(try deliveries(pair, publication).map(\.isHeld) == [false])
    pair.machines[1].setStuck(true, subscription)
    let held = try deliveries(pair, publication)
    #expect(held.map(\.isHeld) == [true])
    #expect(held.map(\.isDroppable) == [false])
    let stream = try #require(pair.machines[1].topics.received.values.first)
    #expect(stream.backlog.bytes == 1_000)
    // With another one it does not.
    let other = try subscribe(pair)
    pair.settle()
    let shared = try deliveries(pair, publication)
    #expect(shared.map(\.isHeld) == [false, false])
    #expect(shared.filter { $0.subscription == subscription }.map(\.isDroppable) == [true])
    #expect(shared.filter { $0.subscription == other }.map(\.isDroppable) == [false])
    pair.machines[1].setStuck(false, subscription)
    #expect(try deliveries(pair, publication).allSatisfy { !$0.isHeld && !$0.isDroppable })
    pair.machines[1].consumed(1_000, of: stream.info, at: pair.now)
    #expect(stream.backlog.bytes == 0)
  }

  /// What it held stayed, and with it a window of 0: the other one got nothing but losses.
  @Test func doesNotStopOneThatJoinsItLater() throws {
    let pair = Pair { $0.transport.streamWindowBytes = 10_000 }
    let machine = pair.machines[1]
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    let subscription = try subscribe(pair)
    pair.settle()
    machine.setStuck(true, subscription)
    for _ in 0..<30 { _ = try deliveries(pair, publication) }
    let stream = try #require(machine.sessions.values.first?.inbound[2])
    #expect(stream.window == 0)
    let before = pair.received[1].count
    #expect(before < 30)
    // The publisher learns of it at once, and sends what has waited.
    let other = try subscribe(pair)
    pair.run(for: .milliseconds(5))
    #expect(stream.window == 10_000)
    #expect(pair.received[1].count > before)
    pair.settle()
    let late = pair.received[1].dropFirst(before).filter { $0.subscription == other }
    #expect(late.map(\.sequence) == Array(UInt64(before)..<30))
    #expect(pair.losses.isEmpty)
    // Alone again it holds nobody back a second time: what piles up would have no end.
    machine.unsubscribe(other, at: pair.now)
    let alone = try deliveries(pair, publication)
    #expect(alone.map(\.isHeld) == [false] && alone.map(\.isDroppable) == [true])
    machine.setStuck(false, subscription)
    machine.setStuck(true, subscription)
    #expect(try deliveries(pair, publication).map(\.isHeld) == [true])
  }

  /// A STATUS that another one overtook tells of a window that counts from further back: the publisher sent a second window.
  @Test func holdsBackAlsoWhereAcknowledgementsOvertakeEachOther() throws {
    let pair = Pair { $0.transport.streamWindowBytes = 10_000 }
    let machine = pair.machines[1]
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    let subscription = try subscribe(pair)
    pair.settle()
    _ = try deliveries(pair, publication)
    pair.settle()
    machine.setStuck(true, subscription)
    let stream = try #require(machine.topics.received.values.first)
    var delay = 100
    var sent = 0
    pair.extraDelay = { sender in
      guard sender == 1 else { return .zero }
      sent += 1
      delay = max(0, delay - 3)
      return .milliseconds(UInt64(delay))
    }
    for _ in 0..<10 {
      _ = try deliveries(pair, publication)
      // Whatever is acknowledged, is on its own.
      pair.run(for: .milliseconds(1))
    }
    for _ in 0..<20 { _ = try deliveries(pair, publication) }
    pair.extraDelay = { _ in .zero }
    pair.settle()
    #expect(sent > 5)
    #expect(stream.backlog.bytes <= 11_000)
    machine.consumed(stream.backlog.bytes, of: stream.info, at: pair.now)
    machine.setStuck(false, subscription)
    pair.settle()
    #expect(pair.received[1].map(\.sequence) == Array(0..<31))
    #expect(pair.losses.isEmpty)
  }

  @Test func doesNotHoldUpItsOwnPublisherWhenAnotherOneJoins() throws {
    let pair = Pair { $0.transport.streamWindowBytes = 10_000 }
    let machine = pair.machines[0]
    let publication = try machine.advertise("t", options: PublicationOptions(), at: pair.now)
    let subscription = try machine.subscribe("t", options: SubscriptionOptions(), at: pair.now)
    machine.setStuck(true, subscription)
    let payload = pattern(1_000, seed: 1)
    func publish() throws -> PublishResult {
      try payload.withUnsafeBytes { try machine.publish($0, on: publication, at: pair.now) }
    }
    while try publish() != .full { pair.drain(0) }
    pair.events[0] = []
    let other = try machine.subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.drain(0)
    #expect(
      pair.events[0].contains { event in
        if case .writable(publication) = event { true } else { false }
      })
    for _ in 0..<30 { #expect(try publish() != .full) }
    pair.drain(0)
    #expect(pair.received[0].count { $0.subscription == other } == 30)
    machine.unsubscribe(other, at: pair.now)
    for _ in 0..<30 { #expect(try publish() != .full) }
    machine.setStuck(false, subscription)
    machine.setStuck(true, subscription)
    #expect(try (0..<30).contains { _ in try publish() == .full })
  }

  @Test func appliesToStreamsThatBeginLater() throws {
    let pair = Pair()
    let subscription = try subscribe(pair)
    pair.machines[1].setStuck(true, subscription)
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    pair.settle()
    #expect(try deliveries(pair, publication).map(\.isHeld) == [true])
  }

  @Test func whatIsBestEffortCannotBeHeldBackAndIsDroppable() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise(
      "t", options: PublicationOptions(reliability: .bestEffort), at: pair.now)
    _ = try subscribe(pair, holdsBack: true)
    pair.settle()
    let delivered = try deliveries(pair, publication)
    #expect(delivered.map(\.isHeld) == [false])
    #expect(delivered.map(\.isDroppable) == [true])
  }

  @Test func ownSubscriptionsHoldUpTheirPublisherOnce() throws {
    let pair = Pair { $0.transport.streamWindowBytes = 10_000 }
    let machine = pair.machines[0]
    let publication = try machine.advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try machine.subscribe("t", options: SubscriptionOptions(holdsBackPublisher: true), at: pair.now)
    let payload = pattern(1_000, seed: 1)
    func publish(_ whenFull: FullBufferBehaviour) throws -> PublishResult {
      try payload.withUnsafeBytes { try machine.publish($0, on: publication, whenFull: whenFull, at: pair.now) }
    }
    var stream: StreamInfo?
    pair.takes = { stream = $0.stream }
    var refused = 0
    for _ in 0..<50 {
      guard try publish(.refuse) == .full else { continue }
      refused += 1
      _ = try publish(.dropOldest)
    }
    // From then on it is the subscription that loses.
    #expect(refused == 1)
    pair.drain(0)
    let delivered = pair.received[0].count
    let lost = pair.events[0].reduce(0) { sum, event in
      if case .loss(let loss) = event { sum + loss.sequences.count } else { sum }
    }
    #expect(delivered == 11)
    #expect(delivered + lost == 50)
    // Once it has caught up it is waited for again.
    machine.consumed(11_000, of: try #require(stream), at: pair.now)
    while try publish(.refuse) != .full { pair.drain(0) }
    pair.drain(0)
    #expect(pair.received[0].count == 22)
  }
}
