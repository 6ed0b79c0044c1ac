import GlueCore
import GlueSimulation

@testable import GlueQuorum

/// What a storage has to hold.
struct LogState: Equatable {
  var hardState = RaftHardState()
  var snapshot: RaftSnapshot
  var entries: [RaftEntry] = []

  init(_ snapshot: RaftSnapshot) { self.snapshot = snapshot }

  init(_ stored: StoredRaft) {
    (hardState, snapshot, entries) = (stored.hardState, stored.snapshot, stored.entries)
  }

  var last: LogIndex { entries.last?.index ?? snapshot.index }

  mutating func take(_ new: RaftSnapshot) {
    let fits = entries.contains { $0.index == new.index && $0.term == new.term }
    entries.removeAll { !fits || $0.index <= new.index }
    snapshot = new
  }

  mutating func apply(_ write: RaftWrite) {
    if let snapshot = write.snapshot { take(snapshot) }
    if let new = write.hardState { hardState = new }
    guard let first = write.entries.first else { return }
    entries.removeAll { $0.index >= first.index }
    entries += write.entries
  }
}

/// Everything that a store is asked to do, several times over, and what it has to hold after each step.
struct LogWorkload {
  enum Step {
    case found(RaftSnapshot)
    case write(RaftWrite)
    case compact(RaftSnapshot, keepFrom: LogIndex)
  }

  static let cluster = ClusterID(high: 1, low: 2)
  static let storage = StorageID(77)
  /// Little, so that there are several segments.
  static let settings: RaftLogSettings = {
    var settings = RaftLogSettings()
    settings.segmentBytes = 1_200
    return settings
  }()

  private(set) var steps: [Step] = []
  /// What has to be there after so many steps; nil: it is no member yet.
  private(set) var states: [LogState?] = [nil]
  private var dice: Dice

  init(steps count: Int, seed: UInt64 = 1) {
    dice = Dice(seed: seed, concern: .workload)
    let first = snapshot(3, 1)
    steps = [.found(first)]
    var state = LogState(first)
    state.hardState = RaftHardState()
    states.append(state)
    for number in 1..<count {
      let step = next(number, state)
      switch step {
      case .found: break
      case .write(let write): state.apply(write)
      case .compact(let snapshot, _): state.take(snapshot)
      }
      steps.append(step)
      states.append(state)
    }
  }

  private mutating func next(_ number: Int, _ state: LogState) -> Step {
    let term = max(1, state.hardState.term)
    switch number % 10 {
    case 1:
      return .write(RaftWrite(hardState: RaftHardState(term: term + 1, vote: MemberID(EndpointID(5), StorageID(6)))))
    case 3:
      // A new leader replaces what was not committed.
      let from = max(state.snapshot.index + 1, state.last - 1)
      return .write(RaftWrite(hardState: RaftHardState(term: term + 1), entries: entries(from, 2, term + 1)))
    case 5 where !state.entries.isEmpty:
      let entry = state.entries[state.entries.count / 2]
      return .compact(snapshot(entry.index, entry.term), keepFrom: max(1, entry.index - 1))
    case 7:
      let middle = state.entries[state.entries.count / 2]
      var write = RaftWrite(hardState: RaftHardState(term: term + 1))
      switch number / 10 % 3 {
      case 0: write.snapshot = snapshot(state.last + 10, term)
      case 1: write.snapshot = snapshot(middle.index, middle.term + 1)
      default: write.snapshot = snapshot(middle.index, middle.term)
      }
      if number / 30 % 2 == 1, let index = write.snapshot?.index { write.entries = entries(index + 1, 1, term) }
      return .write(write)
    default: return .write(RaftWrite(entries: entries(state.last + 1, dice.int(1...3), term)))
    }
  }

  private mutating func snapshot(_ index: LogIndex, _ term: Term) -> RaftSnapshot {
    let members = [MemberID(EndpointID(1), Self.storage), MemberID(EndpointID(2), StorageID(index))]
    return RaftSnapshot(index: index, term: term, membership: Membership(voters: members), state: bytes(600))
  }

  private mutating func entries(_ first: LogIndex, _ count: Int, _ term: Term) -> [RaftEntry] {
    (first..<(first + UInt64(count))).map { RaftEntry(index: $0, term: term, .command(bytes(250))) }
  }

  private mutating func bytes(_ most: Int) -> [UInt8] {
    (0..<dice.int(0...most)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
  }

  // MARK: Running it

  static func open(_ directory: SimulatedLogDirectory, _ fault: LogFault? = nil) throws(LogError) -> RaftLogStore {
    try RaftLogStore(directory, newStorage: storage, settings: settings, fault: fault)
  }

  static func perform(_ step: Step, _ store: RaftLogStore) throws(LogError) {
    switch step {
    case .found(let snapshot): try store.found(cluster, snapshot)
    case .write(let write): try store.write(write)
    case .compact(let snapshot, let keepFrom): try store.compact(snapshot, keepFrom: keepFrom)
    }
  }

  /// What came of it: how many steps were confirmed, what failed then, and what failed when it was asked once more.
  struct Outcome {
    var confirmed = 0
    var error: LogError?
    var again: LogError?
  }

  /// Runs it. The directory's label is how many steps are confirmed.
  func run(on directory: SimulatedLogDirectory, fault: LogFault? = nil) -> Outcome {
    var outcome = Outcome()
    do throws(LogError) {
      let store = try Self.open(directory, fault)
      defer { store.close() }
      for step in steps {
        do throws(LogError) {
          try Self.perform(step, store)
        } catch {
          do throws(LogError) { try Self.perform(step, store) } catch { outcome.again = error }
          throw error
        }
        outcome.confirmed += 1
        directory.label = outcome.confirmed
      }
    } catch {
      outcome.error = error
    }
    return outcome
  }

  /// What may be there when so many steps were confirmed, and the next may have been under way.
  func allowed(_ confirmed: Int) -> [LogState?] {
    guard confirmed < steps.count else { return [states[confirmed]] }
    var allowed = [states[confirmed], states[confirmed + 1]]
    if case .write(let write) = steps[confirmed], let snapshot = write.snapshot, var between = states[confirmed] {
      between.take(snapshot)
      allowed.append(between)
    }
    return allowed
  }

  /// Opens what is left, writes more, and cuts the power: what was wrong. That it is left after another power cut, too, matters
  /// where only the process has ended.
  func breach(
    _ disk: SimulatedLogDisk, confirmed: Int, _ fault: LogFault? = nil, isRelied: Bool = true
  ) -> String? {
    do throws(LogError) {
      let directory = SimulatedLogDirectory(disk)
      let store = try Self.open(directory, fault)
      let found = store.stored.map(LogState.init)
      guard allowed(confirmed).contains(found) else { return "after \(confirmed) steps there is \(Self.text(found))" }
      // From now on others may rely on it.
      if isRelied {
        let early = try Self.open(SimulatedLogDirectory(directory.disk.afterPowerCut(.everything)), fault)
        guard early.stored.map(LogState.init) == found else { return "what was found is lost" }
      }
      guard var state = found else { return nil }
      for _ in 0..<2 {
        let write = RaftWrite(
          hardState: RaftHardState(term: state.hardState.term + 1),
          entries: [RaftEntry(index: state.last + 1, term: state.hardState.term, .empty)])
        try store.write(write)
        state.apply(write)
      }
      let again = try Self.open(SimulatedLogDirectory(directory.disk.afterPowerCut(.everything)), fault)
      return again.stored.map(LogState.init) == state
        ? nil : "what was written next is not there: \(Self.text(again.stored.map(LogState.init)))"
    } catch {
      return "after \(confirmed) steps: \(error)"
    }
  }

  private static func text(_ state: LogState?) -> String {
    state.map { "term \($0.hardState.term), snapshot \($0.snapshot.index), entries to \($0.last)" } ?? "nothing"
  }
}
