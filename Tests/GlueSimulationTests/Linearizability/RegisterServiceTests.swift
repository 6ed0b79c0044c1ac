import GlueCore
import GlueSimulation
import Testing

/// Clients of a simulated store of keys, right or broken in one way.
private struct RegisterService {
  enum Mutant: CaseIterable {
    /// Some reads see what was there a while ago.
    case staleReads

    /// Some writes are confirmed and forgotten.
    case lostUpdates

    /// A write whose answer is late is applied again later.
    case retryAppliedTwice

    /// A read sees a write that is then reported as failed.
    case dirtyRead

    /// Compare-and-set does not compare.
    case setWithoutCompare
  }

  var mutant: Mutant?
  var keys: UInt64 = 4
  var unknownPerMille: UInt64 = 5
  private var random: SeededGenerator
  private var store: [String: String] = [:]
  private var old: [String: String] = [:]
  private var late: (key: String, value: String)?

  init(mutant: Mutant? = nil, seed: UInt64) {
    self.mutant = mutant
    random = SeededGenerator(seed: seed)
  }

  /// Each process has one operation under way at a time, which takes effect somewhere between its call and its return.
  mutating func history(operations: Int, processes: Int) -> History {
    var history = History()
    var pending = [HistoryOperation?](repeating: nil, count: processes)
    var hasTakenEffect = [Bool](repeating: false, count: processes)
    var now: Int64 = 0
    var names = Int64(processes)
    while history.operations.count < operations {
      now += 1 + Int64(random.next() % 5)
      let process = Int(random.next() % UInt64(processes))
      if pending[process] == nil {
        pending[process] = HistoryOperation(Int64(process), now, nil, action(number: now))
        hasTakenEffect[process] = false
      } else if !hasTakenEffect[process] {
        hasTakenEffect[process] = true
        if var operation = pending[process] {
          takeEffect(&operation)
          pending[process] = operation
        }
      } else if var operation = pending[process] {
        if random.next() % 1_000 < unknownPerMille {
          operation.outcome = .unknown
          operation.process = names
          names += 1
        }
        operation.return = now
        history.operations.append(operation)
        pending[process] = nil
      }
    }
    // What is still under way may have taken effect.
    for case var operation? in pending {
      operation.outcome = .unknown
      history.operations.append(operation)
    }
    return history
  }

  private mutating func action(number: Int64) -> HistoryOperation.Action {
    let key = "k\(random.next() % keys)"
    return switch random.next() % 20 {
    case 0..<10: .read(key: key, value: nil)
    case 10..<16: .write(key: key, value: "\(number)")
    case 16: .compareAndSet(key: key, expected: old[key], value: "\(number)")
    case 17..<19: .compareAndSet(key: key, expected: store[key], value: "\(number)")
    default: .delete(key: key)
    }
  }

  private mutating func takeEffect(_ operation: inout HistoryOperation) {
    let isWrong = random.next() % 20 == 0
    if let late, isWrong {
      store[late.key] = late.value
      self.late = nil
    }
    switch operation.action {
    case .read(let key, _):
      operation.action = .read(key: key, value: mutant == .staleReads && isWrong ? old[key] : store[key])
    case .write(let key, let value):
      if mutant == .lostUpdates, isWrong { return }
      if mutant == .retryAppliedTwice, late == nil { late = (key, value) }
      set(key, value)
      if mutant == .dirtyRead, isWrong { operation.outcome = .failed }
    case .delete(let key): set(key, nil)
    case .compareAndSet(let key, let expected, let value):
      guard store[key] == expected || mutant == .setWithoutCompare else {
        operation.outcome = .rejected(reason: nil)
        return
      }
      set(key, value)
    case .transaction: break
    }
  }

  private mutating func set(_ key: String, _ value: String?) {
    old[key] = store[key]
    store[key] = value
  }
}

@Suite struct RegisterServiceTests {
  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func aServiceThatIsRightIsLinearizable(seed: UInt64) {
    var service = RegisterService(seed: seed)
    let report = LinearizabilityChecker().check(service.history(operations: 1_000, processes: 8))
    #expect(report.verdict == .linearizable)
    #expect(report.partitions == 4)
  }

  @Test(arguments: RegisterService.Mutant.allCases)
  private func aServiceThatIsWrongIsFoundOut(mutant: RegisterService.Mutant) {
    for seed in 1...5 as ClosedRange<UInt64> {
      var service = RegisterService(mutant: mutant, seed: seed)
      let report = LinearizabilityChecker(states: 20_000).check(service.history(operations: 1_000, processes: 8))
      #expect(report.verdict == .violated, "\(mutant), seed \(seed)")
      #expect(report.violations.allSatisfy { !$0.unplaced.isEmpty })
    }
  }

  @Test func tenThousandOperationsOfTenProcessesOnOneKeyTakeLittleWork() {
    var service = RegisterService(seed: 3)
    service.keys = 1
    service.unknownPerMille = 1
    let history = service.history(operations: 10_000, processes: 10)
    let report = LinearizabilityChecker().check(history)
    #expect(report.verdict == .linearizable)
    // One decision for each write, and few of them taken back.
    #expect(report.states < 40_000)
  }
}
