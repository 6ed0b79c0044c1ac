import GlueCore
import GlueModel

/// Those who use the models of a run: they open them, write, close them and open them again.
final class ModelUsers {
  private let plans: [ModelPlan]
  private let simulation: Simulation
  private let end: Timestamp
  private var dice: Dice
  private var disks: [[Int: SimulatedModelDisk]]

  init(of plan: Plan, in simulation: Simulation) {
    plans = plan.models
    self.simulation = simulation
    end = plan.healsAt
    dice = Dice(seed: plan.seed, concern: .models)
    disks = plans.map { _ in [:] }
    for (number, model) in plans.enumerated() {
      for host in model.disks.sorted() {
        disks[number][host] = SimulatedModelDisk(number: number << 8 | host, seed: plan.seed)
      }
      for _ in 0..<model.transactions { schedule { users in users.write(number) } }
      for _ in 0..<model.closings { schedule { users in users.closeOne(number) } }
      for _ in 0..<model.clockJumps { schedule { users in users.jump(number) } }
    }
  }

  private func schedule(_ body: @escaping (ModelUsers) -> Void) {
    let begin: UInt64 = 1_500_000_000
    let at = Timestamp(nanoseconds: begin + dice.below(end.nanoseconds - begin))
    simulation.schedule(at: at) { [unowned self] _ in body(self) }
  }

  /// An endpoint has started in place of a participant: it opens what it takes part in.
  func started(_ endpoint: SimulatedEndpoint, as participant: Int) {
    for (number, plan) in plans.enumerated() where plan.openers.contains(participant) { open(number, at: endpoint) }
  }

  private func open(_ number: Int, at endpoint: SimulatedEndpoint) {
    let plan = plans[number]
    var policies = ModelPolicies()
    if dice.chance(percent: 30) { policies.set(.keepAll, under: ModelPath(unchecked: "a")) }
    if dice.chance(percent: 30) { policies.set(.merge { $0.max() ?? .null }, under: ModelPath(unchecked: "b")) }
    let settings = SimulatedModelSettings(
      name: plan.name, limits: plan.limits, configuration: plan.configuration, policies: policies)
    _ = try? endpoint.open(settings, on: disks[number][endpoint.host], seed: dice.next())
  }

  /// The openings of a model whose users can do something.
  private func openings(of number: Int) -> [SimulatedModel] {
    simulation.alive.filter(\.isRunning).flatMap(\.models).filter { $0.settings.name == plans[number].name }
  }

  private func write(_ number: Int) {
    let models = openings(of: number)
    guard !models.isEmpty else { return }
    let model = dice.pick(models)
    for _ in 0..<(dice.chance(percent: 8) ? dice.int(3...12) : 1) where !model.isClosed {
      model.apply((0..<(dice.chance(percent: 35) ? dice.int(2...5) : 1)).map { _ in makeEdit(in: plans[number]) })
    }
  }

  private func closeOne(_ number: Int) {
    let models = openings(of: number)
    guard models.count > 1 else { return }
    let model = dice.pick(models)
    let endpoint = model.endpoint
    model.close()
    simulation.schedule(after: dice.span(.milliseconds(1) ... .seconds(8))) { [unowned self] simulation in
      guard endpoint.isRunning, simulation.now < end else { return }
      open(number, at: endpoint)
    }
  }

  /// Somebody's wall clock is set by an hour, forward or back, or to 1970.
  private func jump(_ number: Int) {
    guard let model = openings(of: number).first(where: { _ in dice.chance(percent: 40) }) else { return }
    let hour: Int64 = 3_600_000_000
    model.wallError = dice.pick([hour, -hour, 0, -Int64(LocalClock.rightWallOrigin)])
  }

  // MARK: What they write

  private static let paths = ["a/x/y", "a/z", "b/x", "b/y/z", "m/k", "v", "w"]
  private static let counters = ["n", "m/n", "a/n"]
  private static let sets = ["s", "b/s", "m/s"]
  /// Where there are things below as well.
  private static let maps = ["a", "a/x", "b", "b/y", "m"]

  private func makeEdit(in plan: ModelPlan) -> ModelEdit {
    // Now and then something else stands where a counter or a set is.
    let isOdd = dice.chance(percent: 6)
    func path(_ usual: [String]) -> ModelPath {
      ModelPath(unchecked: dice.pick(isOdd ? Self.maps + Self.paths + Self.counters + Self.sets : usual))
    }
    let element = ModelValue.int(Int64(dice.below(8)))
    switch dice.below(100) {
    case 0..<38: return .set(path(Self.paths), makeValue(in: plan))
    case 38..<50:
      return dice.chance(percent: 5)
        ? .delete(.root) : .delete(path(Self.maps + Self.paths + Self.counters + Self.sets))
    case 50..<68: return .increment(path(Self.counters), Int64(dice.int(-5...20)))
    case 68..<82: return .add(path(Self.sets), element)
    case 82..<90: return .remove(path(Self.sets), element)
    case 90..<94: return .makeMap(path(Self.maps))
    case 94..<97: return .resolve(path(Self.paths), .value(makeValue(in: plan)))
    default: return .resolve(path(Self.paths), .kind(dice.pick(ModelKind.allCases)))
    }
  }

  private func makeValue(in plan: ModelPlan) -> ModelValue {
    if plan.hasLongValues, dice.chance(percent: 15) {
      return .bytes([UInt8](repeating: UInt8(truncatingIfNeeded: dice.next()), count: dice.int(10_000...50_000)))
    }
    return switch dice.below(5) {
    case 0: .bool(dice.chance(percent: 50))
    case 1: .string("text \(dice.below(1_000))")
    case 2: .list([.null, .double(Double(dice.below(100)) / 8)])
    default: .int(Int64(dice.below(1_000)))
    }
  }
}
