import GlueCore
import GlueModel
import GlueSimulation
import Testing

/// Models of whole endpoints, on networks as a script makes them. The checkers watch what each replica does.
@Suite(.apart) struct ModelScenarios {
  /// Between who meets and who has the same: what the design promises.
  private static let reunion = Nanoseconds.seconds(2)

  private static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  private func scenario(hosts: Int, seed: UInt64) throws -> (Scenario, [SimulatedModel]) {
    let scenario = Scenario(hosts: hosts, topics: [], seed: seed)
    let models = try (0..<hosts).map { host in
      try scenario.start(host).open(SimulatedModelSettings(name: "home"), seed: seed << 8 | UInt64(host))
    }
    scenario.run(.seconds(3))
    return (scenario, models)
  }

  private func isEqual(_ models: [SimulatedModel]) -> Bool {
    models.allSatisfy { $0.replica.document.stateBytes() == models[0].replica.document.stateBytes() }
  }

  private func haveMet(_ models: [SimulatedModel]) -> Bool {
    models.allSatisfy { $0.replica.peerIDs.count == models.count - 1 }
  }

  @Test func aChangeReachesAllAndThenNobodySaysAnything() throws {
    let (scenario, models) = try scenario(hosts: 4, seed: 61)
    #expect(haveMet(models))
    models[0].apply([.set(Self.path("a"), 1), .increment(Self.path("n"), 2)])
    models[3].apply([.add(Self.path("s"), "x")])
    scenario.run(.milliseconds(100), until: { isEqual(models) })
    #expect(isEqual(models))
    #expect(models[2].replica.document.read(Self.path("n")) == .counter(2))
    scenario.run(.seconds(120), until: { models.allSatisfy(\.isAtRest) })
    scenario.run(.seconds(1))
    scenario.simulation.isQuiet = true
    scenario.run(.seconds(60))
  }

  @Test func bothSidesOfAPartitionWriteAndMeet() throws {
    let (scenario, models) = try scenario(hosts: 4, seed: 62)
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] { scenario.block(a, b) }
    scenario.run(.seconds(10))
    for (index, model) in models.enumerated() {
      model.apply([.set(Self.path("shared"), .int(Int64(index))), .set(Self.path("own/\(index)"), 1)])
      model.apply([.increment(Self.path("n"), 1)])
    }
    scenario.run(.seconds(1))
    #expect(!isEqual(models))
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] { scenario.join(a, b) }
    scenario.run(.seconds(20), until: { haveMet(models) })
    scenario.run(Self.reunion, until: { isEqual(models) })
    #expect(isEqual(models))
    let document = models[0].replica.document
    #expect(document.read(Self.path("n")) == .counter(4))
    #expect(document.conflicts(under: .root).map(\.candidates.count) == [4])
  }

  @Test func manyChangesAtOnceOnALossyNetworkWithLittleRoom() throws {
    let scenario = Scenario(hosts: 3, topics: [], seed: 63)
    let models = try (0..<3).map { host in
      try scenario.start(host) { $0.transport.sendBufferBytes = 64 << 10 }
        .open(SimulatedModelSettings(name: "home"), seed: UInt64(host) + 7)
    }
    scenario.run(.seconds(3))
    scenario.links { $0.lossPerMillion = 100_000 }
    // More than the buffer takes: the driver waits, and makes room in the end.
    for index in 0..<40 {
      models[0].apply([.set(Self.path("blob/\(index)"), .bytes([UInt8](repeating: UInt8(index), count: 20_000)))])
      models[1].apply([.set(Self.path("small/\(index)"), .int(Int64(index)))])
    }
    scenario.run(.seconds(60), until: { models.allSatisfy { $0.replica.document.keyCount == 80 } })
    #expect(isEqual(models))
  }

  @Test func whoWasKilledBeginsWithWhatItHadStored() throws {
    let scenario = Scenario(hosts: 2, topics: [], seed: 64)
    let disk = SimulatedModelDisk(number: 1, seed: 64)
    disk.isUnreliable = false
    let settings = SimulatedModelSettings(name: "home")
    let other = try scenario.start(0).open(settings, seed: 1)
    var model = try scenario.start(1).open(settings, on: disk, seed: 2)
    scenario.run(.seconds(3))
    model.apply([.set(Self.path("stored"), 1)])
    scenario.run(.seconds(1), until: { model.replica.storedRevision == model.replica.revision })
    // Nobody hears of what it writes before it is killed, and its disk has just begun.
    scenario.block(0, 1)
    model.apply([.set(Self.path("late"), 1)])
    scenario.simulation.end(scenario.simulation[1])
    scenario.run(.seconds(8))
    model = try scenario.start(1).open(settings, on: disk, seed: 3)
    #expect(model.replica.document.read(Self.path("stored")) == .value(1))
    other.apply([.delete(Self.path("stored")), .set(Self.path("after"), 1)])
    scenario.join(0, 1)
    scenario.run(.seconds(20), until: { haveMet([model, other]) })
    scenario.run(Self.reunion, until: { isEqual([model, other]) })
    #expect(isEqual([model, other]))
    #expect(model.replica.document.read(Self.path("stored")) == nil)
  }

  @Test func aDiskThatFailsForAWhileHoldsUpNothing() throws {
    let scenario = Scenario(hosts: 2, topics: [], seed: 65)
    let disk = SimulatedModelDisk(number: 1, seed: 65)
    disk.isUnreliable = false
    let models = try (0..<2).map { host in
      try scenario.start(host).open(
        SimulatedModelSettings(name: "home"), on: host == 1 ? disk : nil, seed: UInt64(host) + 1)
    }
    scenario.run(.seconds(3))
    disk.failsUntil = scenario.simulation.now + .seconds(20)
    for index in 0..<50 {
      models[index % 2].apply([.set(Self.path("\(index)"), 1)])
      scenario.run(.milliseconds(50))
    }
    #expect(isEqual(models))
    #expect(models[1].replica.storedRevision == 0)
    scenario.run(.seconds(60), until: { models[1].replica.storedRevision == models[1].replica.revision })
    #expect(disk.content?.entries.count == 50)
  }

  @Test func aModelIsClosedAndOpenedAgain() throws {
    let (scenario, models) = try scenario(hosts: 3, seed: 66)
    models[0].apply([.set(Self.path("a"), 1)])
    models[0].close()
    scenario.run(.seconds(1), until: { models[1...].allSatisfy { $0.replica.peerIDs.count == 1 } })
    #expect(models[2].replica.document.read(Self.path("a")) == .value(1))
    #expect(models[1].replica.peerIDs.count == 1)
    models[1].apply([.set(Self.path("a"), 2)])
    let again = try scenario.simulation[0].open(SimulatedModelSettings(name: "home"), seed: 99)
    let open = [again] + models[1...]
    scenario.run(.seconds(2), until: { haveMet(open) && isEqual(open) })
    #expect(isEqual(open))
    #expect(again.replica.document.read(Self.path("a")) == .value(2))
  }
}
