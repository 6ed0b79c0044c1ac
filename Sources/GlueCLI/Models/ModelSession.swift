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
    try carryOut(action)
    if case .get(let path) = action { try pointToConflicts(under: path) }
    if action.isChange { try await settle() }
  }

  /// Does what the lines of standard input say, one after the other; what stands between `begin` and `commit` as one. A line that is wrong, or
  /// a transaction in which one is, changes nothing and does not end it.
  func apply(waiting: Duration) async throws {
    try await meet(waiting)
    let reader = LineReader(limit: 1 << 20)
    var (number, wrong) = (0, 0)
    var transaction: Transaction?
    while let bytes = try await reader.next() {
      number += 1
      let line = String(decoding: bytes, as: UTF8.self)
      guard !line.allSatisfy(\.isWhitespace) else { continue }
      do {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw CommandFailure("it is not UTF-8") }
        try perform(line, in: &transaction)
      } catch let failure as OutputFailure {
        throw failure
      } catch {
        wrong += 1
        transaction?.isWrong = true
        Console.error("glue: line \(number), \(line): \((error as? CommandFailure)?.text ?? "\(error)")")
      }
    }
    if transaction != nil {
      throw CommandFailure("the input ended in a transaction: commit is missing; it was not done")
    }
    if wrong > 0 { throw CommandFailure("\(wrong) of \(number) lines were not done") }
  }

  /// Actions that wait for `commit`.
  private struct Transaction {
    var actions: [ModelAction] = []
    var isWrong = false
  }

  private func perform(_ line: String, in transaction: inout Transaction?) throws {
    switch (line.trimmingCharacters(in: .whitespaces), transaction) {
    case ("begin", nil): transaction = Transaction()
    case ("begin", .some): throw CommandFailure("there is a transaction already")
    case ("commit", nil): throw CommandFailure("there is no transaction; it starts with begin")
    case ("commit", let complete?):
      transaction = nil
      guard !complete.isWrong else { throw CommandFailure("nothing of the transaction is done") }
      try model.update { edits in for action in complete.actions { try action.edit(&edits) } }
    case (_, nil): try carryOut(try ModelAction(line: line))
    case (_, .some):
      let action = try ModelAction(line: line)
      guard action.isChange else { throw CommandFailure("a transaction has changes only") }
      transaction?.actions.append(action)
    }
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

  private func carryOut(_ action: ModelAction) throws {
    switch action {
    case .get(let path):
      guard let node = try model.read(path) else {
        throw CommandFailure(path.map { "there is nothing at \($0)" } ?? "the model is empty")
      }
      try Console.tryLine(json ? ModelText.json(node) : ModelText.lines(node, at: path).joined(separator: "\n"))
    case .conflicts(let path):
      for conflict in try model.conflicts(under: path) {
        try Console.tryLine(json ? ModelText.json(conflict) : ModelText.lines(conflict).joined(separator: "\n"))
      }
    case .status: try Console.tryLine(json ? ModelText.json(model.status) : ModelText.line(model.status))
    case .watch: break
    case .set, .delete, .increment, .add, .remove, .resolve: try model.update { try action.edit(&$0) }
    }
  }

  /// What is shown is one side of a conflict only, and who reads it should know.
  private func pointToConflicts(under path: String?) throws {
    let conflicts = try model.conflicts(under: path)
    guard let first = conflicts.first else { return }
    let more = conflicts.count > 1 ? " and \(conflicts.count - 1) more" : ""
    Console.error("glue: different things were written concurrently at \(first.path)\(more); “conflicts” shows them")
  }
}
