import Foundation
import Testing

@testable import GlueCore

/// A subscription that goes on where an earlier process stopped.
@Suite struct ReadPositionTests {
  /// Two endpoints; the second one notes what it reads.
  private final class Scene {
    let pair: Pair
    let publication: PublicationID
    var position = ReadPosition()

    init(_ history: HistoryPolicy = .last(1_000)) throws {
      pair = Pair()
      publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: history), at: pair.now)
      pair.takes = { [unowned self] in position.advance(past: $0.sequence, of: $0.stream) }
      try subscribe(pair.machines[1], SubscriptionOptions(history: .all))
      pair.settle()
    }

    func subscribe(_ machine: EndpointMachine, _ options: SubscriptionOptions) throws {
      _ = try machine.subscribe("#", options: options, at: pair.now)
    }

    func publish(_ numbers: Range<UInt8>) throws {
      for number in numbers { try pair.publish([number], on: publication) }
    }

    var saved: SubscriptionOptions { SubscriptionOptions(history: .all, position: position) }

    /// The second endpoint ends, the first one publishes, and the second one begins another life.
    func restart(missing numbers: Range<UInt8>, _ options: SubscriptionOptions...) throws {
      try pair.restart(
        1,
        before: { machine in
          try publish(numbers)
          for options in options { try subscribe(machine, options) }
        })
    }

    func numbers(of subscription: UInt64 = 1, at index: Int = 1) -> [UInt64] {
      pair.received[index].filter { $0.subscription == SubscriptionID(rawValue: subscription) }.map(\.sequence)
    }
  }

  @Test func aNewLifeGoesOnWhereTheLastOneStopped() throws {
    let scene = try Scene()
    try scene.publish(0..<100)
    scene.pair.settle()
    let before = scene.pair.bytes
    try scene.restart(missing: 100..<110, scene.saved)
    try scene.publish(110..<120)
    scene.pair.settle()
    #expect(scene.numbers() == Array(100..<120))
    #expect(scene.pair.losses.isEmpty)
    // What was read before is not sent again: 100 messages would be 2,000 bytes and more.
    #expect(scene.pair.bytes - before < 4_500)
  }

  @Test func whatIsGoneIsSaid() throws {
    let scene = try Scene(.last(10))
    try scene.publish(0..<5)
    scene.pair.settle()
    try scene.restart(missing: 5..<50, scene.saved)
    #expect(scene.numbers() == Array(40..<50))
    #expect(scene.pair.losses.map(\.sequences) == [5..<40])
  }

  @Test func alsoOfATopicThatKeepsNothing() throws {
    let scene = try Scene(.none)
    try scene.publish(0..<5)
    scene.pair.settle()
    try scene.restart(missing: 5..<8, scene.saved)
    try scene.publish(8..<9)
    scene.pair.settle()
    #expect(scene.numbers() == [8])
    #expect(scene.pair.losses.map(\.sequences) == [5..<8])
  }

  @Test func ofOtherStreamsEverythingArrives() throws {
    let scene = try Scene()
    try scene.publish(0..<5)
    scene.pair.settle()
    let other = try scene.pair.machines[0].advertise(
      "u", options: PublicationOptions(history: .last(10)), at: scene.pair.now)
    try scene.restart(missing: 5..<6, scene.saved)
    for number in 0..<3 as Range<UInt8> { try scene.pair.publish([number], on: other) }
    scene.pair.settle()
    #expect(scene.pair.received[1].map(\.topic) == ["t", "u", "u", "u"])
  }

  @Test func anotherSubscriptionGetsWhatItWants() throws {
    let scene = try Scene()
    try scene.publish(0..<20)
    scene.pair.settle()
    try scene.restart(missing: 20..<30, SubscriptionOptions(history: .all), scene.saved)
    #expect(scene.numbers(of: 1) == Array(0..<30))
    #expect(scene.numbers(of: 2) == Array(20..<30))
    #expect(scene.pair.losses.isEmpty)
  }

  /// The publisher is told where to begin before it is told that another subscription wants all.
  @Test func aSubscriptionThatComesRightAfterGetsWhatItWants() throws {
    let scene = try Scene()
    try scene.publish(0..<20)
    scene.pair.settle()
    try scene.restart(missing: 20..<30)
    try scene.subscribe(scene.pair.machines[1], scene.saved)
    try scene.subscribe(scene.pair.machines[1], SubscriptionOptions(history: .all))
    scene.pair.settle()
    #expect(scene.numbers(of: 1) == Array(20..<30))
    #expect(scene.numbers(of: 2) == Array(0..<30))
    #expect(scene.pair.losses.isEmpty)
  }

  @Test func twoPositionsOfOneEndpointAreKeptApart() throws {
    let scene = try Scene(.last(8))
    try scene.publish(0..<5)
    scene.pair.settle()
    let early = scene.saved
    try scene.publish(5..<20)
    scene.pair.settle()
    try scene.restart(missing: 20..<30, early, scene.saved)
    #expect(scene.numbers(of: 1) == Array(22..<30))
    #expect(scene.numbers(of: 2) == Array(22..<30))
    // In one piece or several.
    func lost(_ subscription: UInt64) -> [UInt64] {
      scene.pair.losses.filter { $0.subscriptions.contains(SubscriptionID(rawValue: subscription)) }
        .flatMap { Array($0.sequences) }
    }
    #expect(lost(1) == Array(5..<22))
    #expect(lost(2) == Array(20..<22))
  }

  @Test func aHolderServesItWhenThePublisherIsDead() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    let early = scene.saved
    try scene.publish(10..<30)
    scene.pair.settle()
    // Another endpoint comes in the publisher's place.
    let before = scene.pair.bytes
    try scene.pair.restart(0, before: { try scene.subscribe($0, early) })
    #expect(scene.numbers(at: 0) == Array(10..<30))
    #expect(scene.pair.bytes - before < 4_500)
    // Whoever has read everything asks for nothing.
    try scene.pair.restart(0, before: { try scene.subscribe($0, scene.saved) })
    #expect(scene.pair.received[0].isEmpty)
  }

  @Test func aLaterSubscriptionGoesOnToo() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    let early = scene.saved
    try scene.publish(10..<20)
    scene.pair.settle()
    try scene.subscribe(scene.pair.machines[1], early)
    scene.pair.settle()
    #expect(scene.numbers(of: 2) == Array(10..<20))
    try scene.publish(20..<21)
    scene.pair.settle()
    #expect(scene.numbers(of: 2) == Array(10..<21))
    #expect(scene.numbers(of: 1) == Array(0..<21))
  }

  @Test func ownMessagesGoOnToo() throws {
    let scene = try Scene(.last(5))
    try scene.subscribe(scene.pair.machines[0], SubscriptionOptions())
    try scene.publish(0..<10)
    scene.pair.settle()
    var early = ReadPosition()
    early.advance(past: 2, of: scene.pair.machines[0].topics.publications.elements[0].value.info)
    try scene.subscribe(scene.pair.machines[0], SubscriptionOptions(history: .all, position: early))
    scene.pair.settle()
    #expect(scene.numbers(of: 2, at: 0) == Array(5..<10))
    let losses = scene.pair.events[0].compactMap { if case .loss(let loss) = $0 { loss } else { nil } }
    #expect(losses.map(\.sequences) == [3..<5])
  }

  @Test func ownMessagesThatWereNotKeptAreLost() throws {
    let scene = try Scene(.untilExpiry)
    var early = ReadPosition()
    early.advance(past: 2, of: scene.pair.machines[0].topics.publications.elements[0].value.info)
    try scene.publish(0..<10)
    scene.pair.settle()
    try scene.subscribe(scene.pair.machines[0], SubscriptionOptions(history: .all, position: early))
    scene.pair.settle()
    let losses = scene.pair.events[0].compactMap { if case .loss(let loss) = $0 { loss } else { nil } }
    #expect(losses.map(\.sequences) == [3..<10])
  }

  // MARK: The value

  private func stream(_ number: UInt64) -> StreamInfo {
    StreamInfo(
      topic: "t", type: nil, publisher: EndpointID(7), publisherName: "p", incarnation: Incarnation(8), number: number,
      isDirect: false)
  }

  @Test func itIsSavedAndLoaded() throws {
    var position = ReadPosition()
    position.advance(past: 41, of: stream(2))
    position.advance(past: 4, of: stream(3))
    position.advance(past: 40, of: stream(2))
    let loaded = try JSONDecoder().decode(ReadPosition.self, from: JSONEncoder().encode(position))
    #expect(loaded == position)
    #expect(loaded.next(of: stream(2).hash) == 42)
    #expect(loaded.next(of: stream(3).hash) == 5)
    position.advance(past: 5, of: stream(3))
    #expect(loaded != position)
  }

  @Test(arguments: [
    #"{}"#, #"{"streams":[{"publisher":0,"incarnation":8,"stream":2,"next":1}]}"#,
    #"{"streams":[{"publisher":7,"incarnation":0,"stream":2,"next":1}]}"#,
    #"{"streams":[{"publisher":7,"incarnation":8,"stream":2,"next":9223372036854775808}]}"#,
    #"{"streams":[{"publisher":7,"incarnation":8,"stream":2,"next":-1}]}"#,
  ])
  func whatCannotBeIsRefused(text: String) {
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(ReadPosition.self, from: Data(text.utf8)) }
  }

  @Test func itIsBounded() {
    var position = ReadPosition()
    for number in 0..<UInt64(ReadPosition.maximumStreams) + 10 {
      position.advance(past: 0, of: stream(number))
      // This one is read all the time.
      position.advance(past: number, of: stream(0))
    }
    #expect(position.entries.count <= ReadPosition.maximumStreams)
    #expect(position.next(of: stream(0).hash) == UInt64(ReadPosition.maximumStreams) + 10)
    #expect(position.next(of: stream(1).hash) == nil)
  }
}
