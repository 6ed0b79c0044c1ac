import Foundation
import Glue

/// A replica for the duration of a command.
struct ModelSession: Sendable {
  /// How long an action waits until everybody has its change.
  private static let patience = Duration.seconds(10)

  let model: Model
  let isStored: Bool
  let json: Bool

  // MARK: Actions

  /// Waits for others, does it, and waits until somebody has it.
  func perform(_ action: ModelAction, waiting: Duration) async throws {
    try await meet(waiting)
    try check(action, waiting)
    try show(action)
    if action.isChange { try await settle() }
  }

  /// Does what the lines of standard input say, one after the other. A line that is wrong does not end it.
  func apply(waiting: Duration) async throws {
    try await meet(waiting)
    let reader = LineReader(limit: 1 << 20)
    var (number, wrong) = (0, 0)
    while let bytes = try await reader.next() {
      number += 1
      let line = String(decoding: bytes, as: UTF8.self)
      guard !line.allSatisfy(\.isWhitespace) else { continue }
      do {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw CommandFailure("it is not UTF-8") }
        try show(try ModelAction(line: line))
      } catch let failure as OutputFailure {
        throw failure
      } catch {
        wrong += 1
        Console.error("glue: line \(number), \(line): \((error as? CommandFailure)?.text ?? "\(error)")")
      }
    }
    if wrong > 0 { throw CommandFailure("\(wrong) of \(number) lines were not done") }
  }

  /// Shows what is there, then every change.
  func watch(_ path: String?, waiting: Duration) async throws {
    try await meet(waiting)
    let changes = try model.changes(under: path)
    if json {
      try Console.tryLine("{\"snapshot\":\(changes.snapshot.map(ModelText.json) ?? "null")}")
    } else if let node = changes.snapshot {
      try Console.tryLine(ModelText.lines(node, at: path).joined(separator: "\n"))
    }
    for await change in changes {
      try Console.tryLine(json ? ModelText.json(change) : ModelText.line(change).printable)
    }
  }

  /// Waits until what was changed is where it is to be.
  func settle() async throws {
    if isStored { try await model.awaitStored(timeout: Self.patience) }
    if case .unacknowledged(let peers) = await model.flush(timeout: Self.patience), !peers.isEmpty {
      throw CommandFailure("not with \(peers.map(\.description).joined(separator: ", ")) yet")
    }
  }

  /// Without others and a store there is nothing to read, and nothing would be left of a change.
  private func check(_ action: ModelAction, _ waiting: Duration) throws {
    guard !isStored, model.replicas.isEmpty else { return }
    let text = "no other replica of \(model.name) was met within \(waiting)"
    throw CommandFailure(
      action.isChange ? "\(text), and there is no --store: nothing would be left of the change" : text)
  }

  private func meet(_ waiting: Duration) async throws {
    do {
      try await model.awaitSync(replicas: 1, timeout: waiting)
    } catch EndpointFailure.timedOut {}
  }

  private func show(_ action: ModelAction) throws {
    switch action {
    case .get(let path):
      guard let node = try model.read(path) else {
        throw CommandFailure(path.map { "there is nothing at \($0)" } ?? "the model is empty")
      }
      try Console.tryLine(json ? ModelText.json(node) : ModelText.lines(node, at: path).joined(separator: "\n"))
    case .set(let path, let value): try model.update { try value.set(path, in: &$0) }
    case .delete(let path):
      guard try model.read(path) != nil else { throw CommandFailure("there is nothing at \(path)") }
      try model.delete(path)
    case .increment(let path, let amount): try model.increment(path, by: amount)
    case .add(let path, let value): try model.add(value, to: path)
    case .remove(let path, let value): try model.remove(value, from: path)
    case .resolve(let path, let value):
      guard try model.conflicts(under: path).contains(where: { $0.path.text == path }) else {
        throw CommandFailure("there is no conflict at \(path)")
      }
      try model.resolve(path, to: value)
    case .conflicts(let path):
      for conflict in try model.conflicts(under: path) {
        try Console.tryLine(json ? ModelText.json(conflict) : ModelText.lines(conflict).joined(separator: "\n"))
      }
    case .status: try Console.tryLine(json ? ModelText.json(model.status) : ModelText.line(model.status))
    case .watch: break
    }
  }
}
