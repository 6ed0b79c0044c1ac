import Testing

@testable import GlueCore

@Suite struct MissingRangesTests {
  let patience = Nanoseconds.milliseconds(1)
  func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(nanoseconds: milliseconds * 1_000_000) }

  @Test func aGapIsRequestedAfterThreeNewerDatagrams() {
    var missing = MissingRanges(from: 0, limit: 10)
    _ = missing.extend(to: 5, at: at(0), patience: patience, received: 1)
    missing.fill(5..<6, at: at(0))
    #expect(missing.ranges == [0..<5])
    let dueAfter = (1...5 as ClosedRange<UInt64>).filter { missing.isDue(at: at(0), received: $0) }
    #expect(dueAfter == [4, 5])
  }

  @Test func aGapIsRequestedAfterItsPatienceAndThenEverMoreRarely() {
    var missing = MissingRanges(from: 0, limit: 10)
    _ = missing.extend(to: 5, at: at(0), patience: patience, received: 1)
    let isEarly = missing.isDue(at: Timestamp(nanoseconds: 999_999), received: 1)
    #expect(!isEarly)
    var times: [UInt64] = []
    for millisecond in 0..<3_000 where missing.isDue(at: at(UInt64(millisecond)), received: 1) {
      times.append(UInt64(millisecond))
      _ = missing.takeDue(
        at: at(UInt64(millisecond)), received: 1, interval: .milliseconds(2), maximumInterval: .milliseconds(500),
        limit: 64)
    }
    #expect(times.prefix(8) == [1, 3, 5, 7, 11, 19, 35, 67])
    #expect(times.last! - times[times.count - 2] == 500)
  }

  @Test func fillingSplitsAndTrims() {
    var missing = MissingRanges(from: 0, limit: 10)
    _ = missing.extend(to: 10, at: at(0), patience: patience, received: 1)
    var news = missing.fill(3..<5, at: at(0))
    #expect(news && missing.ranges == [0..<3, 5..<10])
    news = missing.fill(3..<5, at: at(0))
    #expect(!news)
    news = missing.fill(2..<6, at: at(0))
    #expect(news && missing.ranges == [0..<2, 6..<10])
    news = missing.fill(0..<20, at: at(0))
    #expect(news)
    #expect(missing.isEmpty && missing.end == 20)
  }

  @Test func theNumberOfGapsIsBounded() {
    var missing = MissingRanges(from: 0, limit: 3)
    for gap in 0..<3 {
      let isNoted = missing.extend(to: missing.end + 1, at: at(0), patience: patience, received: UInt64(gap))
      #expect(isNoted)
      missing.fill(missing.end..<missing.end + 1, at: at(0))
    }
    let end = missing.end
    let isNoted = missing.extend(to: end + 1, at: at(0), patience: patience, received: 9)
    #expect(!isNoted)
    #expect(missing.end == end)
  }

  @Test func aHugeGapCostsOneRange() {
    var missing = MissingRanges(from: 0, limit: 3)
    let isNoted = missing.extend(to: 1 << 62, at: at(0), patience: patience, received: 0)
    #expect(isNoted)
    #expect(missing.ranges == [0..<1 << 62])
  }

  @Test func whatCameInPartIsAskedForSoonerAgain() {
    var missing = MissingRanges(from: 0, limit: 10)
    _ = missing.extend(to: 10, at: at(0), patience: patience, received: 1)
    func request(_ millisecond: UInt64) -> [Range<UInt64>] {
      missing.takeDue(
        at: at(millisecond), received: 1, interval: .milliseconds(2), maximumInterval: .milliseconds(500), limit: 64)
    }
    for millisecond: UInt64 in [1, 3, 5, 7, 11] { #expect(request(millisecond) == [0..<10]) }
    #expect(request(12).isEmpty)
    missing.fill(4..<6, at: at(13))
    #expect(request(14).isEmpty)
    #expect(request(15) == [0..<4, 6..<10])
  }

  @Test func gapsThatTouchAreRequestedAsOne() {
    var missing = MissingRanges(from: 0, limit: 10)
    for (end, received) in [(5, 1), (9, 2), (12, 3)] as [(UInt64, UInt64)] {
      _ = missing.extend(to: end, at: at(0), patience: patience, received: received)
    }
    missing.fill(12..<13, at: at(0))
    _ = missing.extend(to: 15, at: at(0), patience: patience, received: 4)
    let requests = missing.takeDue(
      at: at(1), received: 4, interval: .milliseconds(2), maximumInterval: .milliseconds(500), limit: 64)
    #expect(requests == [0..<12, 13..<15])
  }

  @Test func truncationForgetsWhatIsBeyond() {
    var missing = MissingRanges(from: 0, limit: 10)
    _ = missing.extend(to: 10, at: at(0), patience: patience, received: 1)
    missing.fill(10..<20, at: at(0))
    _ = missing.extend(to: 30, at: at(0), patience: patience, received: 2)
    missing.fill(30..<40, at: at(0))
    missing.truncate(to: 50)
    #expect(missing.ranges == [0..<10, 20..<30] && missing.end == 40)
    missing.truncate(to: 30)
    #expect(missing.ranges == [0..<10, 20..<30] && missing.end == 30)
    missing.truncate(to: 25)
    #expect(missing.ranges == [0..<10, 20..<25] && missing.end == 25)
    missing.truncate(to: 10)
    #expect(missing.ranges == [0..<10] && missing.end == 10)
  }

  @Test func agreesWithASetOfPositions() {
    var generator = SmallGenerator(state: 5)
    for _ in 0..<200 {
      var missing = MissingRanges(from: 0, limit: 1_000)
      var arrived = Set<UInt64>()
      for _ in 0..<40 {
        let low = UInt64.random(in: 0..<80, using: &generator)
        let range = low..<low + UInt64.random(in: 1..<8, using: &generator)
        let isNews = range.contains { !arrived.contains($0) }
        _ = missing.extend(to: range.lowerBound, at: at(0), patience: patience, received: 0)
        let didFill = missing.fill(range, at: at(0))
        #expect(didFill == isNews)
        arrived.formUnion(range)
        let expected = (0..<(arrived.max()! + 1)).filter { !arrived.contains($0) }
        #expect(missing.ranges.flatMap { Array($0) } == expected)
      }
    }
  }
}

@Suite struct SendLogTests {
  func append(_ log: SendLog, _ bytes: [UInt8], lifetime: Nanoseconds? = nil, expires: Timestamp = .distantFuture) {
    bytes.withUnsafeBytes {
      _ = log.append(
        $0, attributes: UnsafeRawBufferPointer(start: nil, count: 0), time: 7, lifetime: lifetime,
        published: Timestamp(nanoseconds: 7_000), expires: expires)
    }
  }

  func read(_ log: SendLog, maximumBytes: Int) throws -> [[UInt8]] {
    var messages: [[UInt8]] = []
    var current: [UInt8] = []
    var position = log.first
    while position < log.end {
      let run = try #require(log.run(from: position, below: log.end, maximumBytes: maximumBytes))
      let bytes =
        switch run.content {
        case .units(let bytes): Array(bytes)
        case .part(let unit): try #require([UInt8].written { unit.write(to: &$0) })
        }
      #expect(bytes.count <= maximumBytes)
      var count: UInt64 = 0
      try bytes.withUnsafeBytes { (bytes) throws in
        var reader = UnitReader(bytes)
        while let unit = try reader.next() {
          count += unit.fragments
          current += unit.body
          if unit.flags.contains(.last) {
            messages.append(current)
            current = []
          }
        }
      }
      #expect(count == run.end - position)
      position = run.end
    }
    return messages
  }

  @Test(arguments: [600, 1_400, 65_000])
  func holdsWhatWasAdded(maximumBytes: Int) throws {
    let log = SendLog()
    let sizes = [0, 1, 455, 456, 457, 912, 913, 5_000, 100_000, 3]
    let messages = sizes.map { pattern($0, seed: $0) }
    for message in messages { append(log, message) }
    #expect(try read(log, maximumBytes: maximumBytes) == messages)
    #expect(log.endSequence == UInt64(sizes.count))
  }

  @Test func readsAnyFragments() throws {
    let log = SendLog()
    let message = pattern(2_000, seed: 1)
    append(log, [1])
    append(log, message)
    append(log, [2])
    #expect(log.end == 7)
    for low in 1..<6 as Range<UInt64> {
      for high in low + 1...6 {
        let run = try #require(log.run(from: low, below: high, maximumBytes: 2_100))
        #expect(run.end == high)
        let start = Int(low - 1) * Unit.fragmentBytes
        switch run.content {
        case .units(let bytes): #expect((low, high) == (1, 6) && bytes.count > message.count)
        case .part(let unit):
          #expect(unit.body.elementsEqual(message[start..<min(start + Int(high - low) * Unit.fragmentBytes, 2_000)]))
          #expect(unit.flags.contains(.first) == (low == 1) && unit.flags.contains(.last) == (high == 6))
          #expect(low > 1 || unit.totalBytes == 2_000)
        }
      }
    }
    // As many as fit; a message that must not be cut waits.
    #expect(try #require(log.run(from: 1, below: 7, maximumBytes: 1_400)).end == 4)
    #expect(try #require(log.run(from: 3, below: 7, maximumBytes: 1_400)).end == 6)
    #expect(log.run(from: 1, below: 7, maximumBytes: 400) == nil)
    #expect(log.run(from: 1, below: 7, maximumBytes: 1_400, mayCut: false) == nil)
    #expect(try #require(log.run(from: 1, below: 7, maximumBytes: 3_000, mayCut: false)).end == 7)
    log.release(below: 3)
    #expect(log.first == 3 && log.firstSequence == 1 && log.byteCount < 1_200)
    #expect(log.run(from: 3, below: 7, maximumBytes: 3_000)?.end == 6)
    #expect(log.arrived(log.message(at: 3).message, 1, at: 3, next: 6) == nil)
  }

  @Test func goesOnAfterALargeMessage() throws {
    let log = SendLog()
    for number in 0..<3 {
      append(log, pattern(3 << 20, seed: number))
      #expect(try read(log, maximumBytes: 65_000) == [pattern(3 << 20, seed: number)])
      log.release(below: log.end)
      #expect(log.isEmpty && log.byteCount == 0)
      append(log, [UInt8(number)])
      #expect(try read(log, maximumBytes: 65_000) == [[UInt8(number)]])
      log.release(below: log.end)
    }
  }

  @Test func releasesFromTheFront() throws {
    let log = SendLog()
    for number in 0..<10_000 { append(log, pattern(100, seed: number)) }
    log.release(below: 9_990)
    #expect(log.first == 9_990 && log.firstSequence == 9_990)
    #expect(try read(log, maximumBytes: 1_000) == (9_990..<10_000).map { pattern(100, seed: $0) })
    log.release(below: 10_000)
    #expect(log.isEmpty && log.byteCount == 0)
    append(log, [1])
    #expect(log.first == 10_000 && log.end == 10_001)
  }

  @Test func knowsMessagesOfSeveralFragments() {
    let log = SendLog()
    append(log, pattern(1_000, seed: 1))
    append(log, pattern(10, seed: 2))
    append(log, pattern(1_000, seed: 3))
    #expect(log.end == 7)
    #expect(log.message(at: 2).sequence == 0 && log.message(at: 2).end == 3)
    #expect(log.message(at: 3).sequence == 1)
    #expect(log.message(at: 6).sequence == 2 && log.message(at: 6).end == 7)
    log.release(below: 5)
    #expect(log.firstSequence == 2 && log.message(at: 5).sequence == 2)
  }

  @Test func findsExpiredMessages() {
    let log = SendLog()
    let now = Timestamp(nanoseconds: 100)
    for expiry in [50, 60, 200, 70] as [UInt64] {
      append(log, pattern(500, seed: 1), lifetime: Nanoseconds(expiry), expires: Timestamp(nanoseconds: expiry))
    }
    #expect(log.endOfExpired(from: 0, at: now) == 4)
    #expect(log.endOfExpired(from: 4, at: now) == 4)
    #expect(log.firstExpired(in: 4..<8, at: now) == 6)
  }
}

@Suite struct GroupTrafficTests {
  /// Whether so many lost of so many datagrams, in acknowledgements of so many, are too much.
  func isBad(lost: Int, of datagrams: Int, in acknowledgement: Int) -> Bool {
    var traffic = GroupTraffic()
    traffic.join()
    var isBad = false
    for start in stride(from: 0, to: datagrams, by: acknowledgement) {
      let count = min(acknowledgement, datagrams - start)
      let before = lost * start / datagrams
      isBad = traffic.note(datagrams: count, lost: UInt64(lost * (start + count) / datagrams - before)) || isBad
    }
    return isBad
  }

  @Test func moreThanATwentiethIsTooMuch() {
    for acknowledgement in [1, 16, 256, 1_000] {
      #expect(!isBad(lost: 30, of: 1_000, in: acknowledgement))
      #expect(isBad(lost: 100, of: 1_000, in: acknowledgement))
    }
    #expect(!isBad(lost: 3, of: 20, in: 1), "too few to tell")
  }

  @Test func barsGrow() {
    var traffic = GroupTraffic()
    var bars: [UInt64] = []
    for _ in 0..<3 {
      traffic.bar(at: Timestamp(nanoseconds: 0))
      bars.append(traffic.barredUntil.nanoseconds / 1_000_000_000)
    }
    #expect(bars == [2, 4, 8])
  }
}

@Suite struct PayloadBufferTests {
  /// Memory that somebody else gives back.
  private final class Keeper {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 1)
    let end: () -> Void

    init(end: @escaping () -> Void) {
      self.end = end
      memory.initializeMemory(as: UInt8.self, repeating: 7)
    }

    deinit {
      memory.deallocate()
      end()
    }
  }

  @Test func memoryOfOthersIsHeldAndOnlyRead() throws {
    var isGone = false
    var keeper: Keeper? = Keeper { isGone = true }
    let memory = try #require(keeper).memory
    let buffer = PayloadBuffer(UnsafeRawBufferPointer(memory), in: keeper as Any)
    let other = PayloadBuffer(UnsafeRawBufferPointer(memory), in: keeper as Any)
    let third = PayloadBuffer(UnsafeRawBufferPointer(memory), in: keeper as Any)
    keeper = nil
    #expect(buffer.bytes.baseAddress == UnsafeRawPointer(memory.baseAddress))
    [1, 2].withUnsafeBytes { buffer.append($0) }
    #expect(buffer.bytes.baseAddress != UnsafeRawPointer(memory.baseAddress) && buffer.bytes.starts(with: memory))
    other.removeAll()
    [1, 2].withUnsafeBytes { other.append($0) }
    #expect(other.count == 16 && memory.allSatisfy { $0 == 7 } && !isGone)
    withExtendedLifetime(third) { #expect(third.bytes.allSatisfy { $0 == 7 } && !isGone) }
  }

  @Test func memoryOfOthersIsGivenBack() throws {
    var isGone = false
    do {
      let keeper = Keeper { isGone = true }
      let buffer = PayloadBuffer(UnsafeRawBufferPointer(keeper.memory), in: keeper)
      withExtendedLifetime(buffer) { #expect(buffer.count == 100 && !isGone) }
    }
    #expect(isGone)
  }
}

@Suite struct SpareBuffersTests {
  @Test func whatSomebodyHoldsIsNotFilledAgain() throws {
    let spares = SpareBuffers()
    var held: PayloadBuffer? = PayloadBuffer(capacity: 65_536)
    try spares.keep(#require(held))
    #expect(spares.take(capacity: 65_536) == nil)
    held = nil
    let again = try #require(spares.take(capacity: 40_000))
    #expect(again.count == 0 && spares.take(capacity: 40_000) == nil)
  }
}

@Suite struct ReplayWindowTests {
  @Test func restoresNumbersAcrossTheWrap() {
    var window = ReplayWindow()
    #expect(window.restore(5) == 5)
    for number: UInt64 in [0xFFFF_FFF0, 0xFFFF_FFFF] { _ = window.accept(number) }
    #expect(window.restore(0x0000_0001) == 0x1_0000_0001)
    _ = window.accept(0x1_0000_0001)
    #expect(window.restore(0xFFFF_FFF5) == 0xFFFF_FFF5)
  }

  @Test func tellsDuplicates() {
    var window = ReplayWindow()
    let verdicts = [1, 3, 2, 100, 3, 100, 1, 20, 99].map { window.accept(UInt64($0)) }
    #expect(verdicts == [true, true, true, true, false, false, false, true, true])
  }
}

@Suite struct PathProbeTests {
  @Test func triesTheLargestFirstThenTheUsualSizes() {
    var path = PathProbe(maximum: 65_507, at: Timestamp(nanoseconds: 0))
    var tried: [Int] = []
    var now = Timestamp(nanoseconds: 0)
    while tried.last != 1_472 || tried.count < 7 {
      guard let size = path.takeDue(at: now, interval: .milliseconds(10)) else { break }
      tried.append(size)
      now = path.nextAt
    }
    #expect(tried == [65_507, 65_507, 65_507, 8_972, 8_972, 8_972, 1_472])
    path.replied(size: 1_472)
    #expect(path.current == 1_472)
    let last = path.takeDue(at: path.nextAt, interval: .milliseconds(10))
    #expect(last == nil)
  }

  @Test func aRefusedSizeIsSkipped() {
    var path = PathProbe(maximum: 65_507, at: Timestamp(nanoseconds: 0))
    _ = path.takeDue(at: Timestamp(nanoseconds: 0), interval: .milliseconds(10))
    path.refused(size: 65_507, at: Timestamp(nanoseconds: 1))
    let next = path.takeDue(at: Timestamp(nanoseconds: 1), interval: .milliseconds(10))
    #expect(next == 8_972)
  }
}

@Suite struct FilterTests {
  static let cases: [(filter: String, topic: String, matches: Bool)] = [
    ("a", "a", true), ("a", "b", false), ("a/b", "a/b", true), ("a/b", "a", false), ("+", "a", true),
    ("+", "a/b", false), ("+/b", "a/b", true), ("a/+", "a/b", true), ("a/+", "a/", true), ("a/+", "a", false),
    ("#", "a/b/c", true), ("a/#", "a", true), ("a/#", "a/b/c", true), ("a/#", "b", false), ("+/+", "/a", true),
    ("/+", "/a", true), ("+", "/a", false), ("#", "$x/a", false), ("+/a", "$x/a", false), ("$x/#", "$x/a", true),
    ("$x/+", "$x/a", true), ("a/+/c", "a/b/c", true), ("a/+/c", "a/b/d", false), ("a//b", "a//b", true),
    ("a/+/b", "a//b", true), ("A", "a", false),
  ]

  @Test(arguments: cases)
  func followsTheRules(filter: String, topic: String, matches: Bool) {
    #expect(TopicName.matches(filter: filter, topic: topic) == matches)
    let index = FilterIndex<Int>()
    index.insert(1, under: filter)
    #expect(index.matches(topic) == (matches ? [1] : []))
    index.remove(1, from: filter)
    #expect(index.matches(topic).isEmpty)
  }

  @Test(arguments: ["", "a+", "+a/b", "a/#/b", "a#", "##", "a\u{0}b", String(repeating: "x", count: 257)])
  func refusesBadFilters(filter: String) { #expect(TopicName.problem(withFilter: filter) != nil) }

  @Test(arguments: ["", "a/+", "#", "a\u{0}"])
  func refusesBadTopics(topic: String) { #expect(TopicName.problem(withTopic: topic) != nil) }

  @Test func theIndexAgreesWithTheRules() {
    var generator = SmallGenerator(state: 3)
    let words = ["a", "b", "", "$c"]
    for _ in 0..<300 {
      let index = FilterIndex<Int>()
      let filters = (0..<20).map { _ in
        var levels = (0..<Int.random(in: 1..<4, using: &generator)).map { _ in
          (words + ["+"]).randomElement(using: &generator)!
        }
        if Bool.random(using: &generator) { levels.append("#") }
        return levels.joined(separator: "/")
      }.filter { TopicName.problem(withFilter: $0) == nil }
      for (number, filter) in filters.enumerated() { index.insert(number, under: filter) }
      let topic = (0..<Int.random(in: 1..<4, using: &generator)).map { _ in words.randomElement(using: &generator)! }
        .joined(separator: "/")
      guard TopicName.problem(withTopic: topic) == nil else { continue }
      let expected = filters.indices.filter { TopicName.matches(filter: filters[$0], topic: topic) }
      #expect(index.matches(topic).sorted() == expected)
    }
  }
}

@Suite struct RingTests {
  @Test func itIsAQueue() {
    var ring = Ring<UInt64>()
    var model: [UInt64] = []
    var generator = SeededGenerator(seed: 3)
    var next: UInt64 = 0
    for _ in 0..<2_000 {
      for _ in 0..<Int.random(in: 0...9, using: &generator) {
        ring.append(next)
        model.append(next)
        next += 1
      }
      let taken = Int.random(in: 0...min(model.count, 9), using: &generator)
      ring.removeFirst(taken)
      model.removeFirst(taken)
      let isSame = (0..<ring.count).map { ring[$0] } == model
      let (first, isEmpty) = (ring.first, ring.isEmpty)
      #expect(isSame)
      #expect(first == model.first)
      #expect(isEmpty == model.isEmpty)
    }
    #expect(next > 5_000)
  }
}
