import ArgumentParser
import Foundation
import Glue
import GlueModel
import GlueQuorum

/// An opening of a quorum model for the duration of a command.
struct QuorumSession: Sendable {
  /// The status of a command of which nobody knows whether what it wanted was decided.
  static let unknownStatus: Int32 = 3
  /// How long `status` and `watch` wait for what is decided; they show then what is known.
  private static let patience = Duration.seconds(3)

  /// So long `status` and `members` wait for voters that they have not met.
  private static let meetingPatience = Duration.seconds(1)

  /// When nothing has come for so long, and nobody leads, nothing more is expected.
  private static let quietSpan = Duration.milliseconds(700)

  let quorum: Quorum
  let json: Bool
  let timeout: Duration?
  let quiet: Bool

  /// Does it. Returns the exit status.
  func perform(
    _ action: QuorumAction, stale: Bool, once: Bool, _ events: Events, _ load: QuorumLoadOptions,
    as own: EndpointID
  ) async throws -> Int32 {
    switch action {
    case .found(let voters):
      try await quorum.initialize(voters: voters, timeout: timeout)
      let cluster = quorum.status.cluster.map { "\($0)" } ?? ""
      try show("founded quorum \(cluster)") { $0.add("founded", cluster) }
      if !once { try await follow(events) }
    case .join: try await follow(events)
    case .status: return try await showStatus()
    case .get(let path): try await get(path, stale: stale)
    case .set(let path, let value):
      if case .value(let value) = value {
        try showIndex(try await quorum.set(path, to: value, timeout: timeout))
      } else {
        try showIndex(try await quorum.commit(try value.edits(path), timeout: timeout))
      }
    case .delete(let path): try showIndex(try await quorum.delete(path, timeout: timeout))
    case .increment(let path, let amount):
      try showIndex(try await quorum.increment(path, by: amount, timeout: timeout))
    case .compareAndSet(let path, let expected, let value):
      return try await compareAndSet(try ModelPath(path), expected, value) ? 0 : 1
    case .watch(let path): try await watch(path)
    case .lock(let name, let command): return try await QuorumLockHolder(self).hold(name, command)
    case .members(let change): try await members(change)
    case .resolve(let token):
      let index = try await quorum.resolve(token, timeout: timeout)
      try show(index.map { "it was decided with entry \($0)" } ?? "it has not happened, and never will") {
        $0.add("committed", index)
      }
    case .bench: return try await QuorumLoad(quorum, load, timeout: timeout).run(json: json) ? 0 : 1
    }
    return 0
  }

  /// Tells by what to find out later.
  func showUnknown(_ token: QuorumToken, _ missing: [EndpointID]) throws {
    Console.error("glue: \(QuorumFailure.unknown(token, missing: missing))")
    try show("\(token)") { line in
      line.add("unknown", "\(token)")
      line.add("missing", missing.map { "\($0)" })
    }
  }

  func show(_ text: String, _ object: (inout JSONLine) -> Void) throws {
    var line = JSONLine()
    object(&line)
    try Console.tryLine(json ? line.line : text.printable)
  }

  private func showIndex(_ index: LogIndex) throws {
    if json { try show("") { $0.add("index", index) } }
  }

  private func compareAndSet(_ path: ModelPath, _ expected: ModelValue?, _ value: ModelValue?) async throws -> Bool {
    var index: LogIndex?
    do {
      index = try await quorum.commit(
        [value.map { .set(path, $0) } ?? .delete(path)], if: [.value(path, expected)], timeout: timeout)
    } catch QuorumFailure.rejected(.conditionFailed) {}
    try show("\(index != nil)") { line in
      line.add("matched", index != nil)
      line.add("index", index)
    }
    return index != nil
  }

  /// Tells programs why something was not done.
  func showFailure(_ failure: QuorumFailure) throws {
    guard json else { return }
    var line = JSONLine()
    line.add("failure", QuorumText.kind(of: failure))
    line.add("missing", failure.missing.map { "\($0)" })
    line.add("text", "\(failure)")
    try Console.tryLine(line.line)
  }

  // MARK: Reading

  private func get(_ path: String?, stale: Bool) async throws {
    let node: ModelNode?
    if stale {
      let known = try await awaitKnown(path)
      node = known.node
      if json {
        return try show("") { line in
          line.add("value", raw: node.map(ModelText.json) ?? "null")
          line.add("index", known.index)
          line.add("ageMilliseconds", known.age?.inMilliseconds)
        }
      }
      if !quiet {
        let age =
          known.age.map { "which a leader said to be everything \(Format.milliseconds($0)) ago" } ?? "of unknown age"
        Console.error("glue: as of entry \(known.index), \(age)")
      }
    } else {
      node = try await quorum.read(path, timeout: timeout)
    }
    guard let node else { throw CommandFailure(path.map { "there is nothing at \($0)" } ?? "the model is empty") }
    try Console.tryLine(json ? ModelText.json(node) : ModelText.lines(node, at: path).joined(separator: "\n"))
  }

  /// Waits until something is known: an opening without a storage begins with nothing. As long as more comes, or a leader has not said
  /// that this is everything, there is more to wait for; but somebody has to lead for that.
  private func awaitKnown(_ path: String?) async throws -> Quorum.Stale {
    let deadline = ContinuousClock.now + (timeout ?? Self.patience)
    var known = try quorum.readStale(path)
    var since = ContinuousClock.now
    while known.age == nil, known.index == 0 || ContinuousClock.now < since + Self.quietSpan {
      guard ContinuousClock.now < deadline else {
        if known.index > 0 { return known }
        throw CommandFailure("nothing is known here of the quorum \(quorum.name): nobody has told in time")
      }
      try await Task.sleep(for: .milliseconds(5))
      let now = try quorum.readStale(path)
      if now.index != known.index { since = .now }
      known = now
    }
    return known
  }

  private func watch(_ path: String?) async throws {
    do { try await quorum.catchUp(timeout: timeout ?? Self.patience) } catch let failure as QuorumFailure {
      Console.error("glue: what is shown at first may be old: \(failure)")
    }
    let sequence = try quorum.changes(under: path)
    if json {
      try show("") { line in
        line.add("snapshot", raw: sequence.snapshot.map(ModelText.json) ?? "null")
        line.add("index", sequence.index)
      }
    } else if let node = sequence.snapshot {
      try Console.tryLine(ModelText.lines(node, at: path).joined(separator: "\n"))
    }
    for await changes in sequence {
      if json {
        try show("") { line in
          line.add("index", changes.index)
          line.add("isOneEntry", changes.isOneEntry)
          line.add(
            "changes",
            raw: "[" + changes.changes.map { ModelText.json($0, withOrigin: false) }.joined(separator: ",") + "]")
        }
      } else {
        for change in changes.changes {
          try Console.tryLine("\(changes.index) \(ModelText.difference(change))".printable)
        }
      }
    }
  }

  /// Shows who leads, who the members are and what this endpoint is, until it is cancelled.
  private func follow(_ events: Events) async throws {
    for await event in events {
      guard case .quorum(quorum.name, let event) = event else { continue }
      try show("\(event)") { QuorumText.add(event, to: &$0) }
    }
  }

  // MARK: The quorum

  /// Somebody who is there and has not been met is not missing. Meeting takes some ten milliseconds, and longer where packets get lost.
  private func meetVoters() async throws {
    let deadline = ContinuousClock.now + Self.meetingPatience
    while !quorum.missing.isEmpty, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private func showStatus() async throws -> Int32 {
    var reason: QuorumFailure?
    do { try await quorum.catchUp(timeout: timeout ?? Self.patience) } catch let failure as QuorumFailure {
      reason = failure
    }
    if reason == nil { try await meetVoters() }
    let status = quorum.status
    try Console.tryLine(
      json ? QuorumText.json(status, reason) : QuorumText.lines(status).joined(separator: "\n"))
    guard let reason else { return 0 }
    Console.error("glue: \(reason)")
    return 1
  }

  private func members(_ change: QuorumAction.MemberChange?) async throws {
    switch change {
    case .add(let endpoint, let asVoter)?: try await quorum.addMember(endpoint, asVoter: asVoter, timeout: timeout)
    case .remove(let endpoint)?: try await quorum.removeMember(endpoint, timeout: timeout)
    case nil: break
    }
    try await quorum.catchUp(timeout: timeout)
    try await meetVoters()
    let status = quorum.status
    guard let membership = status.membership else { return }
    for member in membership.all {
      let isVoter = membership.isVoter(member)
      let isMissing = status.missing.contains(member.endpoint)
      let role = isVoter ? "voter" : "learner"
      let leads = status.leader == member.endpoint ? ", leads" : ""
      try show("\(member.endpoint) \(role), storage \(member.storage)\(leads)\(isMissing ? ", not there" : "")") {
        line in
        line.add("endpoint", "\(member.endpoint)")
        line.add("role", role)
        line.add("storage", "\(member.storage)")
        line.add("leads", status.leader == member.endpoint)
        if isVoter { line.add("missing", isMissing) }
      }
    }
  }
}
