import GlueCore
import GlueQuorum

/// The disk on which a host keeps the log of a quorum model: the real store, on a directory in memory.
package final class SimulatedQuorumDisk {
  /// What is wrong with a disk.
  package enum Trouble: Hashable, Sendable {
    /// Nothing but that the power fails, at any operation.
    case sound
    /// Now and then an operation is refused.
    case refuses
    /// Now and then a write lands elsewhere, and nobody says so.
    case misdirects
  }

  /// The host it is in.
  package let host: Int
  /// What is wrong with it.
  package var trouble = Trouble.sound
  /// How many storages were lost with it.
  package private(set) var losses = 0
  /// How often it was opened, and was damaged.
  package private(set) var damages = 0
  /// How often the power failed.
  package private(set) var powerCuts = 0
  /// Mistakes that the store makes.
  var fault: LogFault?
  /// Whether a new storage has the identity of the one that was lost: a mistake.
  var keepsIdentity = false

  private var content = SimulatedLogDisk()
  private var directory: SimulatedLogDirectory?
  private var identity: StorageID?
  /// A write has gone elsewhere. From then on the power does not fail: what proves it to have been lost might go as well.
  private var isMisdirected = false
  private var dice: Dice

  /// One operation of so many goes wrong on a disk with troubles.
  private static let operationsPerTrouble = 60
  /// Segments are small, so that there are several of them.
  private static let settings: RaftLogSettings = {
    var settings = RaftLogSettings()
    settings.segmentBytes = 4 << 10
    return settings
  }()

  /// An empty one.
  package init(host: Int, seed: UInt64) {
    self.host = host
    var numbers = Dice(seed: seed &+ UInt64(host), concern: .quorums)
    dice = Dice(seed: numbers.next(), concern: .disks)
  }

  // MARK: What the driver does

  /// Opens what is on it. Now and then the power fails meanwhile, and it is opened again.
  func open() throws(LogError) -> RaftLogStore {
    if dice.chance(percent: 10) {
      let directory = SimulatedLogDirectory(content)
      directory.failures[dice.int(1...8)] = .crash
      _ = try? openStore(on: directory)
      powerFails(directory)
    }
    let directory = SimulatedLogDirectory(content)
    do throws(LogError) {
      let store = try openStore(on: directory)
      self.directory = directory
      identity = store.storage
      return store
    } catch {
      damages += 1
      throw error
    }
  }

  private func openStore(on directory: SimulatedLogDirectory) throws(LogError) -> RaftLogStore {
    let new = keepsIdentity ? identity : nil
    return try RaftLogStore(
      directory, newStorage: new ?? StorageID(dice.next() | 1), settings: Self.settings, fault: fault)
  }

  /// How long the next job takes.
  func duration() -> Nanoseconds {
    switch dice.below(100) {
    case 0..<92: dice.span(.microseconds(100) ... .milliseconds(4))
    case 92..<99: dice.span(.milliseconds(5) ... .milliseconds(200))
    // Longer than a leader may wait for its disk, now and then.
    default: dice.span(dice.chance(percent: 5) ? .seconds(4) ... .seconds(12) : .milliseconds(200) ... .seconds(2))
    }
  }

  /// Does a job. Returns how long the encoded state is, if it was to be saved.
  func perform(_ job: QuorumJob, on store: RaftLogStore) throws(LogError) -> Int? {
    guard let directory else { return nil }
    if trouble != .sound, dice.below(UInt64(Self.operationsPerTrouble)) == 0 {
      let next = directory.operations + dice.int(1...3)
      if trouble == .refuses {
        directory.failures[next] = .refused
      } else {
        directory.failures[next] = .misdirected(by: dice.pick([512, 4_096, -512]))
        isMisdirected = true
      }
    }
    return try Self.perform(job, on: store)
  }

  private static func perform(_ job: QuorumJob, on store: RaftLogStore) throws(LogError) -> Int? {
    switch job {
    case .found(let cluster, let snapshot): try store.found(cluster, snapshot)
    case .write(let write): try store.write(write)
    case .compact(let index, let term, let membership, let state, let keepFrom):
      let encoded = state.encoded()
      try store.compact(
        RaftSnapshot(index: index, term: term, membership: membership, state: encoded), keepFrom: keepFrom)
      return encoded.count
    }
    return nil
  }

  // MARK: What happens to it

  /// Whoever writes has ended; of what was under way any part was done.
  func crash(_ job: QuorumJob?, of store: RaftLogStore?) {
    guard let directory else { return }
    if let job, let store {
      directory.failures[directory.operations + dice.int(1...6)] = .crash
      _ = try? Self.perform(job, on: store)
    }
    store?.close()
    powerFails(directory)
    self.directory = nil
  }

  /// The process ends, or the power.
  private func powerFails(_ directory: SimulatedLogDirectory) {
    guard !isMisdirected, dice.chance(percent: 60) else { return content = directory.disk.afterPowerCut(.nothing) }
    powerCuts += 1
    let loss: SimulatedLogDisk.Loss =
      switch dice.below(3) {
      case 0: .everything
      case 1: .sectors(seed: dice.next())
      default: .end(seed: dice.next())
      }
    content = directory.disk.afterPowerCut(loss)
  }

  /// It is replaced by an empty one.
  package func lose() {
    losses += 1
    content = SimulatedLogDisk()
    directory = nil
    isMisdirected = false
  }
}
