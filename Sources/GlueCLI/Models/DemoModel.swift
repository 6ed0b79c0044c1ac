import ArgumentParser
import Foundation
import Glue
import Logging

/// `glue demo model`: shared state that is cut in two, and whole again.
struct DemoModel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Watch three replicas of a model part, disagree and agree again.",
    discussion: """
      Three endpoints in one process, on loopback and in a network of their own, share a model. Then kitchen and hall are cut off from \
      attic, all write, and the cut ends. The status is 0 only if all three have the same in the end.
      """)

  /// Longer than anything takes on loopback.
  private static let patience = Duration.seconds(10)

  private struct Room {
    let name: String
    let endpoint: Endpoint
    let model: Model
  }

  func run() async throws {
    let network = PrivateNetwork()
    var rooms: [Room] = []
    for name in ["kitchen", "hall", "attic"] {
      var configuration = try Endpoint.Configuration.fromEnvironment(network.environment(name: name))
      configuration.logger.logLevel = .critical
      let endpoint = try await Endpoint(configuration)
      try await endpoint.start()
      var settings = Model.Settings()
      settings.policies.set(.keepAll, under: try ModelPath("heating"))
      rooms.append(Room(name: name, endpoint: endpoint, model: try await endpoint.model("home", settings)))
    }
    let (kitchen, hall, attic) = (rooms[0].model, rooms[1].model, rooms[2].model)
    let names = Dictionary(uniqueKeysWithValues: rooms.map { ($0.endpoint.id, $0.name) })

    Console.line("Three endpoints, kitchen, hall and attic, open the model “home”. Each writes something.")
    for room in rooms { try await room.model.awaitSync(replicas: 2, timeout: Self.patience) }
    try kitchen.set("lights/kitchen", to: "on")
    try hall.increment("visitors", by: 2)
    try attic.add("Ada", to: "guests")
    try await agree(rooms)
    show(rooms)

    Console.line("\nThe attic is cut off. Both sides go on, and write the same paths.")
    attic.part(from: [rooms[0].endpoint.id, rooms[1].endpoint.id])
    for room in rooms.prefix(2) { room.model.part(from: [rooms[2].endpoint.id]) }
    try kitchen.set("heating", to: 20)
    try attic.set("heating", to: 22)
    try hall.increment("visitors", by: 3)
    try attic.increment("visitors")
    try hall.remove("Ada", from: "guests")
    try attic.add("Ada", to: "guests")
    try kitchen.delete("lights")
    try await agree(Array(rooms.prefix(2)), replicas: 1)
    show(rooms)

    Console.line("\nThe cut ends.")
    let healed = ContinuousClock.now
    for room in rooms { room.model.part(from: []) }
    try await agree(rooms)
    Console.line("All have the same \(Format.milliseconds(ContinuousClock.now - healed)) later:")
    show(rooms)

    for conflict in try kitchen.conflicts() {
      let sides = conflict.candidates.map {
        "\($0.value.map(ModelText.json) ?? "") by \(names[$0.writer] ?? "somebody")"
      }
      Console.line("\nBoth values of \(conflict.path) are kept: \(sides.joined(separator: ", ")). The hall chooses 21.")
    }
    try hall.resolve("heating", to: 21)
    try await agree(rooms)
    show(rooms)
    for room in rooms { await room.endpoint.shutdown() }
  }

  private func agree(_ rooms: [Room], replicas: Int = 2) async throws {
    let deadline = ContinuousClock.now + Self.patience
    while true {
      let states = rooms.map(\.model.status)
      if states.allSatisfy({ $0.hash == states[0].hash && $0.replicas.count == replicas }) { return }
      guard ContinuousClock.now < deadline else {
        throw CommandFailure("the replicas are not the same after \(Self.patience)")
      }
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  private func show(_ rooms: [Room]) {
    let width = rooms.map(\.name.count).max() ?? 0
    for room in rooms {
      let name = room.name + String(repeating: " ", count: width - room.name.count)
      let content = ((try? room.model.read()) ?? nil).map(ModelText.json) ?? "{}"
      Console.line("  \(name)  \(content)")
    }
  }
}
