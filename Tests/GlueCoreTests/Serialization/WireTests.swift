@testable import GlueCore
import Testing

/// The reader and the writer by themselves.
@Suite struct WireTests {
  @Test(
    arguments: [
      (0, 1), (0x7F, 1), (0x80, 2), (0x3FFF, 2), (0x4000, 3), (1 << 35 - 1, 5), (1 << 35, 6), (1 << 63 - 1, 9),
      (1 << 63, 10), (UInt64.max, 10),
    ] as [(UInt64, Int)]) func varints(value: UInt64, size: Int) throws
  {
    let bytes = try #require([UInt8].written { $0.varint(value) })
    #expect(bytes.count == size)
    #expect(WireWriter.varintBytes(value) == size)
    #expect(try bytes.read { (r) throws(WireError) in try r.varint() } == value)
  }

  /// In the middle of a buffer eight bytes are read and written at once, at its end one by one: both mean the same.
  @Test(arguments: 1...9 as ClosedRange<UInt64>) func varintsAreTheSameEverywhere(groups: UInt64) throws {
    for value in [1 << (7 * groups) - 1, 1 << (7 * groups), 0x5A5A_5A5A_5A5A_5A5A >> (64 - 7 * groups)] as [UInt64] {
      let alone = try #require([UInt8].written { $0.varint(value) })
      let amid = try #require(
        [UInt8].written { writer in
          writer.varint(value)
          writer.u64(.max)
        })
      #expect(amid == alone + [UInt8](repeating: 0xFF, count: 8))
      #expect(try alone.read { (r) throws(WireError) in try r.varint() } == value)
      #expect(try amid.read { (r) throws(WireError) in try r.varint() } == value)
    }
  }

  @Test func varintsMayBeLongerThanNeedBe() throws {
    for length in 2...10 {
      let bytes = [0x85] + [UInt8](repeating: 0x80, count: length - 2) + [0]
      #expect(try bytes.read { (r) throws(WireError) in try r.varint() } == 5)
      #expect(try (bytes + [UInt8](repeating: 0x81, count: 8)).read { (r) throws(WireError) in try r.varint() } == 5)
    }
    let endless = [UInt8](repeating: 0x80, count: 20)
    #expect(throws: WireError.varintOverflow) { try endless.read { (r) throws(WireError) in try r.varint() } }
  }

  /// Whole messages are read in a shorter way: it finds the same units, and leaves everything else alone.
  @Test func plainUnitsAreReadAlike() throws {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<2_000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let body = [UInt8](repeating: 0xAB, count: Int.random(in: 0...300, using: &generator))
        let flags = Unit.Flags(
          rawValue: Bool.random(using: &generator) ? 3 : UInt8.random(in: 0...15, using: &generator))
        let time = UInt64.random(in: 0...UInt64.max, using: &generator) >> UInt64.random(in: 0...63, using: &generator)
        let lifetime: UInt64? = flags.contains(.lifetime) ? 1_000_000 : nil
        bytes += try #require(
          [UInt8].written { writer in
            Unit.writeHeader(
              to: &writer, flags: flags, length: body.count, timeMicroseconds: time, lifetimeMicroseconds: lifetime,
              totalBytes: UInt64(body.count) + 1)
            writer.bytes(body)
          })
      }
      if Bool.random(using: &generator) {
        bytes.removeLast(Int.random(in: 0...min(20, bytes.count), using: &generator))
      }
      bytes.withUnsafeBytes { buffer in
        var slow = UnitReader(buffer)
        var quick = UnitReader(buffer)
        while true {
          let expected = Result { () throws(WireError) in try slow.next() }
          let plain = quick.nextPlain()
          if let plain {
            guard case .success(let unit?) = expected else {
              Issue.record("a unit where there is none")
              break
            }
            #expect(unit.flags == .plain && unit.timeMicroseconds == plain.time)
            #expect(unit.body.baseAddress == plain.body.baseAddress && unit.body.count == plain.body.count)
          } else {
            let unit = Result { () throws(WireError) in try quick.next() }
            #expect((try? unit.get())?.body.count == (try? expected.get())?.body.count)
          }
          guard case .success(.some) = expected else { break }
        }
      }
    }
  }

  @Test func numbersAreLittleEndianAndUnaligned() throws {
    let bytes = try #require(
      [UInt8].written { writer in
        writer.u8(1)
        writer.u16(0x0302)
        writer.u32(0x0706_0504)
        writer.u64(0x0F0E_0D0C_0B0A_0908)
      })
    #expect(bytes == Array(1...15))
    try bytes.withUnsafeBytes { (buffer) throws in
      var reader = WireReader(buffer)
      #expect(try reader.u8() == 1)
      #expect(try reader.u16() == 0x0302)
      #expect(try reader.u32() == 0x0706_0504)
      #expect(try reader.u64() == 0x0F0E_0D0C_0B0A_0908)
      #expect(reader.isAtEnd)
      #expect(throws: WireError.truncated) { try reader.u8() }
    }
  }

  @Test func readingFromNothing() throws {
    var reader = WireReader(UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(reader.remaining == 0)
    #expect(reader.rest().isEmpty)
    #expect(try reader.bytes(0).isEmpty)
    #expect(throws: WireError.truncated) { try reader.bytes(1) }
    #expect(throws: WireError.truncated) { try reader.bytes(-1) }
    #expect(throws: WireError.truncated) { try reader.varint() }
    #expect(throws: DatagramError.truncated) { try DatagramHeader.read(from: &reader) }
    var frames = FrameReader(UnsafeRawBufferPointer(start: nil, count: 0))
    let end = try frames.next()
    #expect(end == nil)
  }

  @Test func writingIntoNothing() {
    var writer = WireWriter(UnsafeMutableRawBufferPointer(start: nil, count: 0))
    writer.bytes([])
    writer.zeros(0)
    #expect(!writer.hasFailed)
    #expect(writer.written.isEmpty)
    writer.u8(1)
    #expect(writer.hasFailed)
    #expect(writer.count == 0)
  }

  @Test func aFailedWriterWritesNothingMore() {
    var bytes = [UInt8](repeating: 0, count: 4)
    bytes.withUnsafeMutableBytes { buffer in
      var writer = WireWriter(buffer)
      writer.u16(0xFFFF)
      writer.u32(0xFFFF_FFFF)
      #expect(writer.hasFailed)
      writer.u8(0xFF)
      #expect(writer.count == 2)
    }
    #expect(bytes == [0xFF, 0xFF, 0, 0])
  }

  @Test func aFrameThatDoesNotFitLeavesThoseBefore() throws {
    var bytes = [UInt8](repeating: 0, count: 20)
    let ack = Ack(largest: 1, delayMicroseconds: 2, count: 3)
    try bytes.withUnsafeMutableBytes { (buffer) throws in
      var writer = WireWriter(buffer)
      var isWritten = writer.frame(.ack, ack)
      #expect(isWritten)
      isWritten = writer.frame(.challenge) { $0.zeros(12) }
      #expect(!isWritten)
      #expect(writer.hasFailed)
      #expect(writer.count == 6)
      // Failure is sticky: what would fit is not written either, until the failure is cleared.
      isWritten = writer.frame(.ack, ack)
      #expect(!isWritten)
      writer.clearFailure()
      isWritten = writer.frame(.challenge, Challenge(token: 5))
      #expect(isWritten)
      #expect(writer.count == 17)

      var frames = FrameReader(writer.written)
      let first = try #require(try frames.next())
      #expect(first.known == .ack)
      #expect(try first.decode(Ack.self) == ack)
      let second = try #require(try frames.next())
      #expect(try second.decode(Challenge.self) == Challenge(token: 5))
      let end = try frames.next()
      #expect(end == nil)
    }
  }

  @Test func aFrameHoldsNoMoreThan65535Bytes() {
    #expect([UInt8].written { $0.frame(.pad) { $0.zeros(65_535) } }?.count == 65_538)
    #expect([UInt8].written { $0.frame(.pad) { $0.zeros(65_536) } } == nil)
  }

  @Test func framesWithinFrames() throws {
    let bytes = [UInt8].written { writer in
      let outer = writer.beginFrame(.data)
      writer.frame(.pad) { $0.zeros(2) }
      writer.endFrame(outer)
    }
    #expect(bytes == [0x20, 5, 0, 0, 2, 0, 0, 0])
  }

  @Test func endingAFrameThatNeverBegan() {
    #expect([UInt8].written { $0.endFrame(0) } == nil)
    #expect([UInt8].written { $0.endFrame(.max / 2) } == nil)
    #expect([UInt8].written { $0.endFrame(-5) } == nil)
  }

  @Test(arguments: [(10, 10), (11, 13), (12, 13), (13, 13), (14, 14), (128, 128), (5, 10)])
  func padding(target: Int, result: Int) {
    let bytes = [UInt8].written { writer in
      writer.zeros(10)
      writer.pad(to: target)
    }
    #expect(bytes?.count == result)
  }

  @Test func whatCannotBeExpressedFails() {
    #expect([UInt8].written { $0.varint(count: -1) } == nil)
    for missing in [[5..<5], [3..<4, 4..<5], [7..<9, 1..<2], [0..<3]] as [[Range<UInt64>]] {
      let status = Status(stream: 1, next: 1, windowBytes: 0, missing: missing)
      #expect([UInt8].written { status.write(to: &$0) } == nil, "\(missing)")
    }
    let many = Attributes((0...256).map { Attributes.Entry(key: $0, value: []) })
    let large = Attributes([Attributes.Entry(key: 0, value: [UInt8](repeating: 0, count: 65_536))])
    for attributes in [many, large] {
      #expect(!attributes.isWithinLimits)
      #expect([UInt8].written { attributes.write(to: &$0) } == nil)
      #expect(attributes.encoded().isEmpty)
    }
  }

  @Test func listsAreCutToTheirLimits() throws {
    var announcement = RoundTripTests.announcement
    announcement.locators = Array(repeating: announcement.locators[0], count: 40)
    announcement.heard = Array(repeating: EndpointID(5), count: 40)
    let bytes = try #require([UInt8].written { announcement.write(to: &$0) })
    let decoded = try bytes.read { (r) throws(WireError) in try Announcement(from: &r) }
    #expect(decoded.locators.count == 32)
    #expect(decoded.heard.count == 32)
    let status = Status(stream: 0, next: 0, windowBytes: 0, missing: (0..<99).map { $0 * 2..<$0 * 2 + 1 })
    let cut = try #require([UInt8].written { status.write(to: &$0) })
    #expect(try cut.read { (r) throws(WireError) in try Status(from: &r) }.missing.count == 64)
  }

  @Test func attributeValuesThatAreNotWhatTheKeyDemands() {
    var attributes = Attributes()
    attributes.set(Attributes.Key.contentEncoding, to: [0xFF])
    attributes.set(Attributes.Key.schemaHash, to: [1, 2])
    attributes.set(Attributes.Key.will, to: [0, 0])
    attributes.set(Attributes.Key.userProperty, to: [1])
    #expect(attributes.contentEncoding == nil)
    #expect(attributes.schemaHash == nil)
    #expect(attributes.will == nil)
    #expect(attributes.userProperties.isEmpty)
  }

  @Test func settingAttributes() {
    var attributes = Attributes([.init(key: 4, value: [1]), .init(key: 99, value: [2]), .init(key: 4, value: [3])])
    #expect(attributes.priority == 1)
    attributes.priority = 7
    #expect(attributes.entries == [.init(key: 4, value: [7]), .init(key: 99, value: [2])])
    attributes.priority = nil
    #expect(attributes.entries == [.init(key: 99, value: [2])])
    attributes.userProperties = [.init(name: "a", value: "1"), .init(name: "a", value: "2")]
    attributes.rateLimit = .max
    attributes.will = .init(topic: "t", payload: [])
    #expect(attributes.userProperties.map(\.value) == ["1", "2"])
    #expect(attributes.rateLimit == .max)
    #expect(attributes.will?.topic == "t")
  }
}
