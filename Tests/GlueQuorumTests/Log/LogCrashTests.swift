import GlueCore
import GlueSimulation
import Testing

@testable import GlueQuorum

@Suite(.apart) struct LogCrashTests {
  static let workload = LogWorkload(steps: 40)

  /// The first breach when the power is cut, or the process ends, after each operation.
  static func firstBreach(_ workload: LogWorkload, _ fault: LogFault? = nil) -> String? {
    let directory = SimulatedLogDirectory()
    directory.keepsImages = true
    let outcome = workload.run(on: directory, fault: fault)
    if let error = outcome.error { return "\(error)" }
    for (number, image) in (directory.images + [(directory.disk, outcome.confirmed)]).enumerated() {
      let seed = UInt64(number)
      let disks = [
        image.disk, image.disk.afterPowerCut(.nothing), image.disk.afterPowerCut(.everything),
        image.disk.afterPowerCut(.sectors(seed: seed)), image.disk.afterPowerCut(.end(seed: seed)),
      ]
      for (mode, disk) in disks.enumerated() {
        if let breach = workload.breach(disk, confirmed: image.label, fault, isRelied: mode == 0) {
          return "operation \(number), mode \(mode): \(breach)"
        }
      }
    }
    return nil
  }

  /// In the second one the entry that a snapshot ends with is the last of a segment.
  @Test(arguments: [1, 15] as [UInt64])
  func nothingConfirmedIsLostByACrashAtAnyMoment(seed: UInt64) {
    #expect(Self.firstBreach(LogWorkload(steps: 40, seed: seed)) == nil)
  }

  @Test(arguments: [
    LogFault.writesAreNotSynced, .snapshotsAreNotSynced, .namesAreNotSynced, .identityComesFirst, .tornTailsAreKept,
    .segmentsGoTooEarly, .whatIsFoundIsNotSynced, .takenOverIsNotRepeated, .removalsAreNotSynced,
  ])
  func aMistakeIsNoticed(fault: LogFault) {
    // Some show only with what chance leaves of a few moments.
    #expect((1...6).contains { Self.firstBreach(LogWorkload(steps: 40, seed: $0), fault) != nil })
  }

  @Test func aCrashWhileItIsOpenedAfterACrashLosesNothing() throws {
    let workload = LogWorkload(steps: 20)
    let directory = SimulatedLogDirectory()
    directory.keepsImages = true
    _ = workload.run(on: directory)
    for (number, image) in directory.images.enumerated() where number % 3 == 0 {
      let second = SimulatedLogDirectory(image.disk.afterPowerCut(.sectors(seed: UInt64(number))))
      second.keepsImages = true
      second.label = image.label
      _ = try LogWorkload.open(second)
      for (moment, again) in second.images.enumerated() {
        let disk = again.disk.afterPowerCut(.sectors(seed: UInt64(number + moment)))
        let breach = workload.breach(disk, confirmed: again.label)
        #expect(breach == nil, "operation \(number), then \(moment)")
      }
    }
  }

  /// Somebody may store a piece of a log in the model, so that a batch stands within a torn one.
  static func breachOfABatchWithinAnother(_ fault: LogFault? = nil) throws -> Bool {
    let directory = SimulatedLogDirectory()
    let store = try LogWorkload.open(directory, fault)
    let members = Membership(voters: [MemberID(EndpointID(1), LogWorkload.storage)])
    try store.found(LogWorkload.cluster, RaftSnapshot(index: 1, term: 1, membership: members, state: []))
    try store.write(RaftWrite(entries: [RaftEntry(index: 2, term: 1, .command([1, 2, 3]))]))
    let segment = try directory.read(LogFormat.segmentName(1))
    let batch = segment[LogFormat.segmentHeaderBytes...].prefix(LogFormat.batchHeaderBytes + 10)
    directory.keepsImages = true
    let command = [UInt8](repeating: 9, count: 700) + batch + [UInt8](repeating: 0, count: 600)
    try store.write(RaftWrite(entries: [RaftEntry(index: 3, term: 1, .command(command))]))
    let image = try #require(directory.images.first?.disk)
    return (0..<30 as Range<UInt64>).contains { seed in
      let left = SimulatedLogDirectory(image.afterPowerCut(.sectors(seed: seed)))
      guard let opened = try? LogWorkload.open(left, fault), let stored = opened.stored else { return true }
      return !(1...2).contains(stored.entries.count)
    }
  }

  @Test func aBatchWithinATornOneIsNoProofOfDamage() throws {
    #expect(try !Self.breachOfABatchWithinAnother())
    #expect(try Self.breachOfABatchWithinAnother(.placesAreNotChecked))
  }

  @Test func whatWasCutOffIsReported() throws {
    let directory = SimulatedLogDirectory()
    directory.keepsImages = true
    _ = Self.workload.run(on: directory)
    var (torn, clean) = (0, 0)
    for (number, image) in directory.images.enumerated() {
      let left = SimulatedLogDirectory(image.disk.afterPowerCut(.end(seed: UInt64(number))))
      let store = try LogWorkload.open(left)
      if store.report.isClean { clean += 1 } else { torn += 1 }
      store.close()
      #expect(try LogWorkload.open(left).report.isClean)
    }
    #expect(torn > 20 && clean > 20)
  }
}
