import GlueCore
import GlueQuorum

/// The storage of a member, damaged: bytes that turned over, and bytes that nobody wrote, with right checksums. It is refused with an error, or it is a
/// state: then an opening runs with it, and what it writes is there when it is opened again.
public struct QuorumLogTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "quorum-log"

  /// So many worlds of openings lend what their disks hold.
  private static let worlds: UInt64 = 12
  /// So many entries in a write, so that there are several batches.
  private static let entriesPerWrite = 3
  /// An opening that was found is run for so many of its wake-ups.
  private static let wakeups = 12

  private static let settings: RaftLogSettings = {
    var settings = RaftLogSettings()
    settings.segmentBytes = 2_000
    return settings
  }()

  private var storages: [[String: [UInt8]]] = []

  /// A target. It needs no corpus: storages of openings are what is damaged.
  public init() {
    for seed in 0..<Self.worlds {
      var generator = SplitMix64(seed: seed)
      let input = (0..<600).map { _ in generator.byte() }
      input.withUnsafeBytes { script in
        let world = QuorumWorld(script: Script(script))
        _ = world.run()
        storages += world.disks.compactMap(Self.files)
      }
    }
  }

  /// What a disk holds, as files.
  private static func files(_ disk: QuorumDisk) -> [String: [UInt8]]? {
    guard let cluster = disk.cluster, let stored = disk.stored else { return nil }
    let directory = MemoryLogDirectory()
    do throws(LogError) {
      let store = try RaftLogStore(directory, newStorage: disk.storage, settings: settings)
      try store.found(cluster, stored.snapshot)
      try store.write(RaftWrite(hardState: stored.hardState))
      var rest = stored.entries[...]
      while !rest.isEmpty {
        try store.write(RaftWrite(entries: Array(rest.prefix(entriesPerWrite))))
        rest = rest.dropFirst(entriesPerWrite)
      }
      store.close()
    } catch {
      return nil
    }
    return directory.files
  }

  // MARK: Input

  /// A script: which storage, and what is done to it.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    for _ in 0..<(8 + generator.below(24)) { input.append(generator.byte()) }
  }

  // MARK: Execution

  /// Damages a storage, and opens it.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? {
    guard !storages.isEmpty else { return "no world has stored anything" }
    var script = Script(input)
    let directory = MemoryLogDirectory(storages[script.word() % storages.count])
    for _ in 0...(script.byte() % 3) { damage(directory, &script) }
    do throws(LogError) {
      let store = try open(directory)
      guard let stored = store.stored, let cluster = store.cluster else { return nil }
      return try run(store, stored, cluster, directory)
    } catch {
      return nil
    }
  }

  private func open(_ directory: MemoryLogDirectory) throws(LogError) -> RaftLogStore {
    try RaftLogStore(directory, newStorage: StorageID(1), settings: Self.settings)
  }

  /// An opening goes on with what was found, alone; whatever it writes is there afterwards.
  private func run(
    _ store: RaftLogStore, _ stored: StoredRaft, _ cluster: ClusterID, _ directory: MemoryLogDirectory
  ) throws(LogError) -> String? {
    let owner = stored.owner(of: store.storage) ?? EndpointID(1)
    var now = Timestamp(nanoseconds: 1_000_000_000)
    var disk = QuorumDisk(storage: store.storage)
    (disk.cluster, disk.stored) = (cluster, stored)
    if let machine = try? QuorumMachine(
      endpoint: owner, storage: store.storage, cluster: cluster, stored: stored, seed: 1, at: now)
    {
      for _ in 0..<Self.wakeups {
        while let job = machine.nextJob(at: now) {
          if let problem = disk.perform(job).problem { return problem }
          if case .write(let write) = job { try store.write(write) }
          machine.jobDone(at: now)
        }
        while machine.nextMessage() != nil {}
        while machine.nextEvent() != nil {}
        guard let next = machine.nextWakeup else { break }
        now = max(next, now + .milliseconds(1))
        machine.advance(to: now)
      }
    }
    store.close()
    guard let expected = disk.stored else { return nil }
    do throws(LogError) {
      let again = try open(directory)
      guard let found = again.stored, found.hardState == expected.hardState, found.snapshot == expected.snapshot,
        found.entries == expected.entries
      else { return "what was found and written is not there when it is opened again" }
    } catch {
      return "it cannot be opened again: \(error)"
    }
    return nil
  }

  // MARK: Damage

  private func damage(_ directory: MemoryLogDirectory, _ script: inout Script) {
    let names = directory.files.keys.sorted()
    guard !names.isEmpty else { return }
    let name = names[script.byte() % names.count]
    guard var bytes = directory.files[name] else { return }
    var generator = SplitMix64(seed: UInt64(script.word()))
    switch script.byte() % 8 {
    case 0: directory.files[name] = nil
    case 1: directory.files["log-000000000000000\(script.byte() % 10)"] = bytes
    case 2:
      Mutator.mutate(&bytes, donor: bytes, using: &generator)
      directory.files[name] = bytes
    default:
      let file = SealedFile(name: name, bytes)
      directory.files[name] = file.damaged {
        Mutator.mutate(&$0, donor: bytes, using: &generator)
      } at: {
        script.byte()
      }
    }
  }
}

/// A file of a storage, of which a part is changed so that its checksums are right again.
private struct SealedFile {
  private static let headerBytes = 69
  private static let batchHeaderBytes = 16

  let name: String
  let bytes: [UInt8]

  init(name: String, _ bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }

  /// - Parameter place: Which part, as a number.
  func damaged(_ change: (inout [UInt8]) -> Void, at place: () -> Int) -> [UInt8] {
    guard name.hasPrefix("log-"), bytes.count >= Self.headerBytes else { return Self.sealed(bytes, change) }
    var header = Array(bytes.prefix(Self.headerBytes))
    let part = place() % 8
    if part == 0 {
      header = Self.sealed(header, change)
      if header.count != Self.headerBytes { return header + bytes[Self.headerBytes...] }
    }
    return header + batches(part, change)
  }

  private static func sealed(_ bytes: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var content = Array(bytes.dropLast(4))
    change(&content)
    return content + word(CRC32C.checksum(content))
  }

  private static func word(_ number: UInt32) -> [UInt8] {
    [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  private func word(at offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
  }

  /// All batches, of which one has other records, and those behind it other places and checksums.
  private func batches(_ part: Int, _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    let identity = Array(bytes[21..<37])
    var previous = word(at: 37)
    var offset = Self.headerBytes
    var new: [UInt8] = []
    var number = 0
    while offset + Self.batchHeaderBytes <= bytes.count, bytes[offset..<(offset + 4)].elementsEqual("GLQB".utf8) {
      let start = offset + Self.batchHeaderBytes
      let end = min(bytes.count, start + Int(word(at: offset + 4)))
      var records = Array(bytes[start..<end])
      number += 1
      if number == part { change(&records) }
      let place = UInt64(Self.headerBytes + new.count)
      let count = Self.word(UInt32(records.count))
      let before = Self.word(previous)
      let checksum = CRC32C.checksum(
        identity + withUnsafeBytes(of: place.littleEndian, Array.init) + count + before + records)
      new += Array("GLQB".utf8) + count + before + Self.word(checksum) + records
      previous = checksum
      offset = end
    }
    return new + [UInt8](repeating: 0, count: max(0, bytes.count - Self.headerBytes - new.count))
  }
}
