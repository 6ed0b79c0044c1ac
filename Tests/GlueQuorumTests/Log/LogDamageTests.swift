import GlueCore
import GlueSimulation
import Testing

@testable import GlueQuorum

@Suite(.apart) struct LogDamageTests {
  static let workload = LogWorkload(steps: 15)
  static let disk: SimulatedLogDisk = {
    let directory = SimulatedLogDirectory()
    _ = workload.run(on: directory)
    return directory.disk
  }()

  static var segments: [String] { disk.names.filter { $0.hasPrefix("log-") } }

  /// What is opened; nil if it is refused as damaged.
  static func opened(_ disk: SimulatedLogDisk, _ fault: LogFault? = nil) -> LogState?? {
    do throws(LogError) {
      return .some(try LogWorkload.open(SimulatedLogDirectory(disk), fault).stored.map(LogState.init))
    } catch {
      switch error {
      case .damaged, .unknownFormat: break
      default: Issue.record("\(error)")
      }
      return nil
    }
  }

  /// How many bits that turned over were refused, were of no consequence, and led to something else.
  static func flips(_ disk: SimulatedLogDisk, _ fault: LogFault? = nil) -> (refused: Int, same: Int, other: [LogState?])
  {
    var counts = (refused: 0, same: 0, other: [LogState?]())
    for name in disk.names {
      for offset in stride(from: 0, to: disk.content(of: name)?.count ?? 0, by: 7) {
        var damaged = disk
        damaged.flip(bit: offset / 7, ofByte: offset, in: name)
        switch opened(damaged, fault) {
        case .none: counts.refused += 1
        case .some(let state) where state == workload.states.last: counts.same += 1
        case .some(let state): counts.other.append(state)
        }
      }
    }
    return counts
  }

  @Test func aBitThatTurnsOverIsRefusedOrOfNoConsequence() {
    let counts = Self.flips(Self.disk)
    #expect(counts.other.isEmpty)
    #expect(counts.refused > counts.same && counts.refused > 200)
  }

  @Test func withoutTheMarkOnlyTheLastBatchCannotBeToldFromATornOne() {
    var disk = Self.disk
    disk.put(nil, named: LogFormat.markName)
    let counts = Self.flips(disk)
    #expect(counts.refused > 200)
    let before = Self.workload.states[Self.workload.steps.count - 1]
    #expect(!counts.other.isEmpty && counts.other.allSatisfy { $0 == before })
  }

  @Test func damageThatIsCutIsNoticed() { #expect(!Self.flips(Self.disk, .damageIsCut).other.isEmpty) }

  @Test func aLogThatIsShorterThanItWasIsRefused() {
    let name = Self.segments.last ?? ""
    let content = Self.disk.content(of: name) ?? []
    for count in stride(from: 0, to: content.count, by: 13) {
      for isZero in [true, false] {
        var disk = Self.disk
        disk.put(content.prefix(count) + (isZero ? Array(repeating: 0, count: content.count - count) : []), named: name)
        if let state = Self.opened(disk) { #expect(state == Self.workload.states.last) }
      }
    }
  }

  @Test func aFileThatIsMissingOrEmptyIsRefused() {
    #expect(Self.segments.count >= 3)
    // What is before the snapshot is not missed.
    let needed = Self.disk.names.filter { $0 != LogFormat.markName && $0 != Self.segments[0] }
    for name in needed {
      var disk = Self.disk
      disk.put(nil, named: name)
      #expect(Self.opened(disk) == nil, "\(name)")
    }
    for name in needed + [Self.segments[0]] {
      var disk = Self.disk
      disk.put([], named: name)
      #expect(Self.opened(disk) == nil, "\(name)")
    }
  }

  @Test func aFileOfAnotherPlaceIsRefused() {
    var disk = Self.disk
    disk.put(disk.content(of: Self.segments[0]), named: Self.segments[1])
    #expect(Self.opened(disk) == nil)
    disk = Self.disk
    disk.put(disk.content(of: Self.segments[1]), named: "log-00000000000000ff")
    #expect(Self.opened(disk) == nil)
    let snapshot = disk.names.first { $0.hasPrefix("snapshot-") } ?? ""
    disk = Self.disk
    disk.put(disk.content(of: snapshot), named: "snapshot-00000000000000ff")
    #expect(Self.opened(disk) == nil)
  }

  @Test func aFileOfAnotherStorageIsRefused() throws {
    let directory = SimulatedLogDirectory()
    let store = try RaftLogStore(directory, newStorage: StorageID(78), settings: LogWorkload.settings, fault: nil)
    for step in Self.workload.steps { try LogWorkload.perform(step, store) }
    for name in Self.disk.names where name != LogFormat.markName {
      var disk = Self.disk
      disk.put(directory.disk.content(of: name), named: name)
      #expect(Self.opened(disk) == nil, "\(name)")
    }
  }

  @Test func namesThatAreNoneOfItsOwnAreLeftAlone() {
    var disk = Self.disk
    for name in ["log-FFFFFFFFFFFFFFFF", "log-+000000000000001", "log-1", "snapshot-", "notes.txt"] {
      disk.put([1], named: name)
    }
    #expect(Self.opened(disk) == Self.workload.states.last)
  }

  @Test func recordsThatNobodyWroteGiveAnErrorOrAState() throws {
    var dice = Dice(seed: 5, concern: .hostility)
    let directory = SimulatedLogDirectory()
    let store = try LogWorkload.open(directory)
    try LogWorkload.perform(Self.workload.steps[0], store)
    let name = LogFormat.segmentName(1)
    let header = try directory.read(name).prefix(LogFormat.segmentHeaderBytes)
    let good: [UInt8] = [1, 1] + Array(repeating: 0, count: 16) + [3, 4, 1, 2, 5, 1, 0, 2, 6, 1, 1, 2, 7, 7]
    for _ in 0..<400 {
      var records = good
      for _ in 0..<dice.int(0...4) {
        records[dice.int(0...(records.count - 1))] = UInt8(truncatingIfNeeded: dice.next())
      }
      records.removeLast(dice.int(0...5))
      let place = LogFormat.Place(storage: LogWorkload.storage, segment: 1, offset: header.count)
      let checksum = records.withUnsafeBytes { LogFormat.checksum(ofBatch: $0, previous: 0, place) }
      let batch = WireWriter.encode(atMost: 100) { writer in
        writer.bytes(LogFormat.batchMagic)
        writer.u32(UInt32(records.count))
        writer.u32(0)
        writer.u32(checksum)
        writer.bytes(records)
      }
      var disk = directory.disk
      disk.put(header + batch, named: name)
      _ = Self.opened(disk)
    }
  }

  @Test func theChecksumIsThatOfISCSI() {
    // RFC 3720 §B.4
    #expect(CRC32C.checksum(Array(repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum(Array(repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum(0..<32) == 0x46DD_794E)
    #expect(CRC32C.checksum("56789".utf8, after: CRC32C.checksum("1234".utf8)) == 0xE306_9283)
  }
}
