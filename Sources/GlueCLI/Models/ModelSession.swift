import Foundation
import Glue

/// A replica for the duration of a command.
struct ModelSession: Sendable {
  /// How long an action waits until everybody has its change.
  private static let patience = Duration.seconds(10)

  let model: Model
  let isStored: Bool
  let json: Bool
  var asText = false
  /// How far `apply` is.
  let input = Shared(Input())

  struct Input: Sendable {
    var lines = 0
    var isOver = false
    /// Actions that wait for `commit`.
    var transaction: Transaction?
  }

  struct Transaction: Sendable {
    var actions: [ModelAction] = []
    var isWrong = false
  }

  // MARK: Actions

  /// Waits for others, does it, and waits until somebody has it.
  func perform(_ action: ModelAction, waiting: Duration) async throws {
    let isComplete = try await meet(waiting)
    try check(action.isChange, waiting)
    let notYet = "not everything that other replicas have has arrived within \(waiting)"
    // What was not seen would not be replaced: the change would make a conflict.
    if action.isChange, !isComplete { throw CommandFailure("\(notYet); nothing was changed. Try with a longer --wait") }
    try carryOut(action)
    if case .get(let path) = action { try pointToConflicts(under: path) }
    if action.isChange { try await settle() }
    if !isComplete, action.needsEverything {
      throw CommandFailure("\(notYet): there may be more. Try with a longer --wait")
    }
  }

  /// Does what the lines of standard input say, one after the other; what stands between `begin` and `commit` as one. A line that is wrong, or
  /// a transaction in which one is, changes nothing and does not end it.
  func apply(waiting: Duration) async throws {
    _ = try await meet(waiting)
    let reader = LineReader(limit: 1 << 20)
    var (number, wrong) = (0, 0)
    while let bytes = try await reader.next() {
      number += 1
      input.withLock { $0.lines = number }
      let line = String(decoding: bytes, as: UTF8.self)
      guard !line.allSatisfy(\.isWhitespace) else { continue }
      do {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw CommandFailure("it is not UTF-8") }
        try perform(line)
      } catch let failure as OutputFailure {
        throw failure
      } catch {
        wrong += 1
        input.withLock { $0.transaction?.isWrong = true }
        Console.error("glue: line \(number), \(line.prefix(80)): \((error as? CommandFailure)?.text ?? "\(error)")")
      }
    }
    if input.value.transaction != nil {
      throw CommandFailure("the input ended in a transaction: commit is missing; it was not done")
    }
    if wrong > 0 { throw CommandFailure("\(wrong) of \(number) lines were not done") }
  }

  private func perform(_ line: String) throws {
    switch (line.trimmingCharacters(in: .whitespaces), input.value.transaction) {
    case ("begin", nil): input.withLock { $0.transaction = Transaction() }
    case ("begin", .some): throw CommandFailure("there is a transaction already")
    case ("commit", nil): throw CommandFailure("there is no transaction; it starts with begin")
    case ("commit", let complete?):
      input.withLock { $0.transaction = nil }
      guard !complete.isWrong else { throw CommandFailure("nothing of the transaction is done") }
      try model.update { edits in for action in complete.actions { try action.edit(&edits) } }
    case (_, nil): try carryOut(try ModelAction(line: line, asText: asText))
    case (_, .some):
      let action = try ModelAction(line: line, asText: asText)
      guard action.isChange else { throw CommandFailure("a transaction has changes only") }
      input.withLock { $0.transaction?.actions.append(action) }
    }
  }

  /// Shows what is there, then every change.
  func watch(_ path: String?, waiting: Duration) async throws {
    let isComplete = try await meet(waiting)
    let changes = try model.changes(under: path)
    if json {
      try Console.tryLine(
        "{\"snapshot\":\(changes.snapshot.map(ModelText.json) ?? "null"),\"inSync\":\(isComplete)}")
    } else if let node = changes.snapshot {
      try Console.tryLine(ModelText.lines(node, at: path).joined(separator: "\n"))
    }
    for await change in changes {
      try Console.tryLine(json ? ModelText.json(change) : ModelText.line(change).printable)
    }
  }

  /// Whether a signal came before `apply` had all its input; says how far it was.
  func wasInterrupted(_ signal: StopSignal) -> Bool {
    let input = input.value
    guard input.lines > 0, !input.isOver else { return false }
    let open = input.transaction == nil ? "" : "; a transaction was not complete, and nothing of it is done"
    Console.error("glue: \(signal) after \(input.lines) lines\(open)")
    return true
  }

  /// Waits until what was changed is where it is to be.
  func settle() async throws {
    // Two commands that end should not rely on each other.
    model.prepareToClose()
    if isStored { try await model.awaitStored(timeout: Self.patience) }
    let outcome = await model.flush(timeout: Self.patience)
    let isKept = isStored || !model.holders.isEmpty
    if case .unacknowledged(let peers) = outcome {
      let names = peers.map(\.description).joined(separator: ", ")
      throw CommandFailure(
        "it is not known whether \(names) has what was changed"
          + (isKept
            ? "; \(isStored ? "it is in the store" : "others have it")" : ", and nobody else is known to have it"))
    }
    guard isKept || model.status.counters.localTransactions == 0 else {
      throw CommandFailure(
        "no other replica of \(model.name) is there, and there is no --store: nothing is left of what was changed")
    }
  }

  /// Without others and a store there is nothing to read, and nothing would be left of a change.
  private func check(_ isChange: Bool, _ waiting: Duration) throws {
    guard !isStored, model.replicas.isEmpty else { return }
    let text = "no other replica of \(model.name) was met within \(waiting)"
    throw CommandFailure(
      isChange ? "\(text), and there is no --store: nothing would be left of the change" : text)
  }

  /// Returns whether everything is here that those have who are there.
  private func meet(_ waiting: Duration) async throws -> Bool {
    do {
      try await model.awaitSync(replicas: 1, timeout: waiting)
      return true
    } catch EndpointFailure.timedOut {
      return model.status.isInSync
    }
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
    case .delete(let path):
      try model.update { edits in
        guard try edits.read(path) != nil else { throw CommandFailure("there is nothing at \(path)") }
        try action.edit(&edits)
      }
    case .set, .increment, .add, .remove, .resolve: try model.update { try action.edit(&$0) }
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
