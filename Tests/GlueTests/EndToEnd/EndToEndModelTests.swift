import Glue
import Testing

@Suite("EndToEnd: models", .serialized, .timeLimit(.minutes(5)))
struct EndToEndModelTests {
  private func sameEverywhere(_ models: [Model], replicas: Int) async throws {
    try await eventually("all have the same") {
      let states = models.map(\.status)
      return states.allSatisfy {
        $0.hash == states[0].hash && $0.isInSync && $0.replicas.count == replicas - 1
      }
    }
  }

  @Test("What one endpoint writes is with all others, and with whoever comes later")
  func shared() async throws {
    let network = LoopbackNetwork()
    let endpoints = [try await network.start("one"), try await network.start("two")]
    var models: [Model] = []
    for endpoint in endpoints { models.append(try await endpoint.model("home")) }
    for model in models { try await model.awaitSync(replicas: 1, timeout: .seconds(10)) }
    try models[0].set("lights/kitchen", to: "on")
    try models[1].increment("visitors", by: 2)
    try models[0].increment("visitors")
    try models[1].add("Ada", to: "guests")
    try await sameEverywhere(models, replicas: 2)
    #expect(models[1]["lights/kitchen"] == .value("on"))
    #expect(models[0]["visitors"] == .counter(3))
    #expect(models[0]["guests"] == .set(["Ada"]))

    let late = try await network.start("late")
    let third = try await late.model("home")
    try await third.awaitSync(replicas: 2, timeout: .seconds(10))
    try await sameEverywhere(models + [third], replicas: 3)
    try third.delete("lights")
    try await sameEverywhere(models + [third], replicas: 3)
    #expect(models[0]["lights"] == nil)
    for endpoint in endpoints + [late] { await endpoint.shutdown() }
  }

  @Test("Two that wrote without each other keep both values until one is chosen")
  func conflict() async throws {
    let network = LoopbackNetwork()
    let (one, two) = (try await network.start("one"), try await network.start("two"))
    var settings = Model.Settings()
    settings.policies.set(.keepAll, under: .root)
    let first = try await one.model("home", settings)
    // Nor does the other one hear of it: what this one sends goes to nobody yet.
    first.part(from: [two.id])
    try first.set("heating", to: 20)
    let second = try await two.model("home", settings)
    second.part(from: [one.id])
    try second.set("heating", to: 22)
    first.part(from: [])
    second.part(from: [])
    try await sameEverywhere([first, second], replicas: 2)
    #expect(first["heating"] == second["heating"])
    guard case .concurrent(let values)? = first["heating"] else {
      Issue.record("\(String(describing: first["heating"]))")
      return
    }
    #expect(Set(values) == [20, 22])
    let conflicts = try second.conflicts()
    #expect(conflicts.map(\.path.text) == ["heating"])
    #expect(Set(conflicts[0].candidates.map(\.writer)) == [one.id, two.id])
    try second.resolve("heating", to: 21)
    try await eventually("it is resolved") { first["heating"] == .value(21) }
    #expect(try first.conflicts().isEmpty)
    for endpoint in [one, two] { await endpoint.shutdown() }
  }

  @Test("A snapshot and the changes after it are what is there, and a transaction comes as one")
  func watching() async throws {
    let network = LoopbackNetwork()
    let (one, two) = (try await network.start("one"), try await network.start("two"))
    let (writer, reader) = (try await one.model("m"), try await two.model("m"))
    try writer.set("a/0", to: 0)
    try await reader.awaitSync(replicas: 1, timeout: .seconds(10))
    let changes = try reader.changes(under: "a")
    #expect(changes.snapshot == .map([.init(level: "0", node: .value(0))]))
    for number in 1...50 as ClosedRange<Int64> {
      try writer.update { edits in
        try edits.set("a/left", to: .int(number))
        try edits.set("b", to: .int(number))
        try edits.set("a/right", to: .int(number))
      }
    }
    var (left, right) = (Int64(0), Int64(0))
    for await transaction in changes.transactions {
      for change in transaction {
        #expect(change.writer == one.id && change.cause == .remote)
        guard case .value(.int(let number))? = change.new else { continue }
        if change.path.text == "a/left" { left = number } else { right = number }
      }
      #expect(left == right)
      if left == 50 { break }
    }
    for endpoint in [one, two] { await endpoint.shutdown() }
  }

  @Test("A transaction that depends on what it has read is made again when that has changed")
  func readAndWrite() async throws {
    let network = LoopbackNetwork()
    let endpoint = try await network.start("one")
    let model = try await endpoint.model("m")
    try model.set("tank/level", to: 5)
    var tries = 0
    let before = try model.update { edits -> Int64? in
      tries += 1
      let level = try edits.read("tank/level")?.int ?? 0
      // Somebody else is faster, once.
      if tries == 1 { try model.set("tank/level", to: 7) }
      // What was not read may change.
      try model.set("other", to: .int(Int64(tries)))
      try edits.set("tank/level", to: .int(level + 1))
      try edits.set("tank/pump", to: "on")
      return level
    }
    #expect(before == 7 && tries == 2)
    #expect(model["tank/level"]?.int == 8)
    await endpoint.shutdown()
  }

  @Test("Many that read and write at once count what they all did")
  func readAndWriteAtOnce() async throws {
    let network = LoopbackNetwork()
    let endpoint = try await network.start("one")
    let model = try await endpoint.model("m")
    await withTaskGroup { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<100 {
            _ = try? model.update { try $0.set("count", to: .int((try $0.read("count")?.int ?? 0) + 1)) }
          }
        }
      }
    }
    #expect(model["count"]?.int == 400)
    #expect(throws: ModelError.changedMeanwhile(attempts: 100)) {
      try model.update { edits in
        let count = try edits.read("count")?.int ?? 0
        try model.set("count", to: .int(count + 1))
        try edits.set("count", to: 0)
      }
    }
    #expect(model["count"]?.int == 500)
    await endpoint.shutdown()
  }

  @Test("Closing a model waits for nobody")
  func closing() async throws {
    let network = LoopbackNetwork()
    let (one, two) = (try await network.start("one"), try await network.start("two"))
    let (first, second) = (try await one.model("m"), try await two.model("m"))
    try await first.awaitSync(replicas: 1, timeout: .seconds(10))
    let reading = try first.changes()
    let waiting = Task { try await first.awaitSync(replicas: 5) }
    let watching = Task { for await _ in reading {} }
    try first.set("k", to: 1)
    let began = ContinuousClock.now
    first.close()
    let took = ContinuousClock.now - began
    #expect(throws: ModelError.closed) { try first.set("k", to: 2) }
    await watching.value
    await #expect(throws: EndpointFailure.stopped) { try await waiting.value }
    try await eventually("the change has left") { second["k"]?.int == 1 }
    try await eventually("the other one knows") { second.replicas.isEmpty }
    // Nothing in it waits for a time-out, of which the shortest is a second.
    #expect(took < .seconds(1))
    for endpoint in [one, two] { await endpoint.shutdown() }
  }

  @Test("A model is open once in an endpoint, and ends with its last reference")
  func opening() async throws {
    let network = LoopbackNetwork()
    let endpoint = try await network.start()
    do {
      let model = try await endpoint.model("m")
      await #expect(throws: EndpointFailure.modelIsOpen("m")) { _ = try await endpoint.model("m") }
      try model.set("a", to: 1)
    }
    let again = try await endpoint.model("m")
    #expect(try again.read() == nil)
    await #expect(throws: EndpointFailure.self) { _ = try await endpoint.model("a/#") }
    #expect(throws: ModelError.self) { try again.set("a//b", to: 1) }
    #expect(throws: ModelError.self) {
      try again.update { edits in
        try edits.set("a", to: 1)
        try edits.increment("a")
      }
    }
    #expect(try again.read() == nil)
    await endpoint.shutdown()
  }

  private struct Lamp: Codable, Equatable {
    var isOn: Bool
    var colour: [Double]
    var rooms: [String: Int]
    var note: String?
  }

  @Test("A Codable value is written to a subtree and read from it, and what others change in it stays")
  func values() async throws {
    let network = LoopbackNetwork()
    let (one, two) = (try await network.start("one"), try await network.start("two"))
    let (first, second) = (try await one.model("m"), try await two.model("m"))
    try await first.awaitSync(replicas: 1, timeout: .seconds(10))
    var lamp = Lamp(isOn: true, colour: [0.5, 1], rooms: ["hall/left": 1, "attic": 2], note: "new")
    try first.write(lamp, to: "lamp")
    try await sameEverywhere([first, second], replicas: 2)
    #expect(try second.read("lamp", as: Lamp.self) == lamp)
    #expect(try second.read("nothing", as: Lamp.self) == nil)
    try second.set("lamp/isOn", to: false)
    lamp.note = nil
    lamp.rooms["attic"] = 3
    try await sameEverywhere([first, second], replicas: 2)
    lamp.isOn = false
    try first.write(lamp, to: "lamp")
    try await sameEverywhere([first, second], replicas: 2)
    #expect(try second.read("lamp", as: Lamp.self) == lamp)
    #expect(throws: (any Error).self) { try second.read("lamp/isOn", as: Lamp.self) }
    for endpoint in [one, two] { await endpoint.shutdown() }
  }

  @Test("A large state reaches a newcomer whole")
  func largeState() async throws {
    let network = LoopbackNetwork()
    let one = try await network.start("one")
    let first = try await one.model("m")
    for block in 0..<20 {
      try first.update { edits in
        for number in 0..<100 { try edits.set("k/\(block)/\(number)", to: .string("value \(number)")) }
      }
    }
    let two = try await network.start("two")
    let second = try await two.model("m")
    try await second.awaitSync(replicas: 1, timeout: .seconds(30))
    try await sameEverywhere([first, second], replicas: 2)
    #expect(second.status.keys == 2_000)
    for endpoint in [one, two] { await endpoint.shutdown() }
  }
}
