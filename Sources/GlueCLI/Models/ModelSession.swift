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
    await meet(waiting)
    if action.isChange, !isStored, model.replicas.isEmpty {
      throw CommandFailure(
        "no other replica of \(model.name) was met within \(waiting), and there is no --store: nothing would be left of the change"
      )
    }
    if !action.isChange, !isStored, model.replicas.isEmpty {
      throw CommandFailure("no other replica of \(model.name) was met within \(waiting)")
    }
    try show(action)
    guard action.isChange else { return }
    if isStored { try await model.awaitStored(timeout: Self.patience) }
    if case .unacknowledged(let peers) = await model.flush(timeout: Self.patience), !peers.isEmpty {
      throw CommandFailure("not with \(peers.map(\.description).joined(separator: ", ")) yet")
    }
  }

  /// Does what the lines of standard input say, one after the other. A line that is wrong does not end it.
  func apply(waiting: Duration) async throws {
    await meet(waiting)
    let reader = LineReader(limit: 1 << 20)
    var wrong = 0
    while let bytes = try await reader.next() {
      let line = String(decoding: bytes, as: UTF8.self)
      guard !line.allSatisfy(\.isWhitespace) else { continue }
      do {
        try show(try ModelAction(line: line))
      } catch let failure as OutputFailure {
        throw failure
      } catch {
        wrong += 1
        Console.error("glue: \(line): \(error)")
      }
    }
    if wrong > 0 { throw CommandFailure("\(wrong) lines were not done") }
  }

  /// Shows what is there, then every change.
  func watch(_ path: String?) async throws {
    let changes = try model.changes(under: path)
    if let node = changes.snapshot {
      try Console.tryLine(json ? ModelText.json(node) : ModelText.lines(node, at: path).joined(separator: "\n"))
    }
    for await change in changes {
      try Console.tryLine(json ? ModelText.json(change) : ModelText.line(change).printable)
    }
  }

  private func meet(_ waiting: Duration) async {
    try? await model.awaitSync(replicas: 1, timeout: waiting)
  }

  private func show(_ action: ModelAction) throws {
    switch action {
    case .get(let path):
      guard let node = try model.read(path) else {
        throw CommandFailure(path.map { "there is nothing at \($0)" } ?? "the model is empty")
      }
      try Console.tryLine(json ? ModelText.json(node) : ModelText.lines(node, at: path).joined(separator: "\n"))
    case .set(let path, let value): try model.update { (edits) throws(ModelError) in try value.set(path, in: &edits) }
    case .delete(let path):
      guard try model.read(path) != nil else { throw CommandFailure("there is nothing at \(path)") }
      try model.delete(path)
    case .increment(let path, let amount): try model.increment(path, by: amount)
    case .add(let path, let value): try model.add(value, to: path)
    case .remove(let path, let value): try model.remove(value, from: path)
    case .resolve(let path, let value): try model.resolve(path, to: value)
    case .conflicts(let path):
      for conflict in try model.conflicts(under: path) {
        try Console.tryLine(json ? ModelText.json(conflict) : ModelText.lines(conflict).joined(separator: "\n"))
      }
    case .status: try Console.tryLine(json ? ModelText.json(model.status) : ModelText.line(model.status))
    case .watch: break
    }
  }
}
