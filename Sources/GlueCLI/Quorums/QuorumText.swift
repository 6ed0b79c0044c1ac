import Glue
import GlueQuorum

/// What there is to say of a quorum, as text and as JSON.
enum QuorumText {
  /// A line for each fact.
  static func lines(_ status: QuorumStatus) -> [String] {
    guard let cluster = status.cluster else { return ["no quorum of this name is known here"] }
    var lines = [
      "quorum \(cluster)",
      "leader \(status.leader.map { "\($0)" } ?? "nobody"), term \(status.term); this endpoint is "
        + (status.role == .observer ? "an observer" : "a \(status.role.rawValue)"),
    ]
    if let membership = status.membership {
      lines.append("voters \(list(membership.voters))")
      if !membership.learners.isEmpty { lines.append("learners \(list(membership.learners))") }
    }
    if !status.missing.isEmpty {
      lines.append("not there: " + status.missing.map(\.description).joined(separator: ", "))
    }
    let age = status.age.map { ", everything there was \(Format.milliseconds($0)) ago" } ?? ""
    lines.append("entry \(status.index)\(age); \(status.keys) keys, hash \(hex(status.hash))")
    for lock in status.locks {
      let note = lock.note.isEmpty ? "" : " (\(lock.note))"
      lines.append("lock \(lock.name), token \(lock.token)\(note), \(lock.waiting) in line".printable)
    }
    if let failure = status.storageFailure { lines.append("the storage failed: \(failure)".printable) }
    return lines
  }

  /// All of it in one object.
  static func json(_ status: QuorumStatus, _ reason: QuorumFailure?) -> String {
    var line = JSONLine()
    line.add("quorum", status.cluster.map { "\($0)" })
    line.add("role", status.role.rawValue)
    // IDs as text: others take numbers for doubles.
    line.add("leader", status.leader.map { "\($0)" })
    line.add("term", status.term)
    line.add("index", status.index)
    line.add("voters", (status.membership?.voters ?? []).map { "\($0.endpoint)" })
    line.add("learners", (status.membership?.learners ?? []).map { "\($0.endpoint)" })
    line.add("missing", status.missing.map { "\($0)" })
    line.add("peers", status.peers.map { "\($0)" })
    line.add("hash", hex(status.hash))
    line.add("keys", status.keys)
    line.add("ageMilliseconds", status.age?.inMilliseconds)
    line.add(
      "locks",
      status.locks.map { lock in
        var object = JSONLine()
        object.add("name", lock.name)
        object.add("token", lock.token)
        object.add("note", lock.note)
        object.add("waiting", lock.waiting)
        return object
      })
    line.add("storageFailure", status.storageFailure)
    line.add("problem", reason.map { "\($0)" })
    return line.line
  }

  /// What an event tells: its kind, what programs need of it, and a text.
  static func add(_ event: QuorumEvent, to line: inout JSONLine) {
    switch event {
    case .leader(let leader, let term):
      line.add("event", "leader")
      line.add("leader", leader.map { "\($0)" })
      line.add("term", term)
    case .membership(let membership):
      line.add("event", "membership")
      line.add("voters", membership.voters.map { "\($0.endpoint)" })
      line.add("learners", membership.learners.map { "\($0.endpoint)" })
    case .role(let role):
      line.add("event", "role")
      line.add("role", role.rawValue)
    case .changesJoined(let index):
      line.add("event", "changesJoined")
      line.add("index", index)
    case .foreignCluster(let cluster, let endpoint):
      addProblem("foreignCluster", at: endpoint, to: &line)
      line.add("quorum", "\(cluster)")
    case .foreignStorage(let endpoint): addProblem("foreignStorage", at: endpoint, to: &line)
    case .wentOver(_, let cluster):
      addProblem("wentOver", to: &line)
      line.add("quorum", "\(cluster)")
    case .lockLost(let lock, let token):
      addProblem("lockLost", to: &line)
      line.add("lock", lock)
      line.add("token", token)
    case .storageFailed: addProblem("storageFailed", to: &line)
    case .unreadable(let endpoint, _): addProblem("unreadable", at: endpoint, to: &line)
    }
    line.add("text", "\(event)")
  }

  private static func addProblem(_ kind: String, at endpoint: EndpointID? = nil, to line: inout JSONLine) {
    line.add("event", "problem")
    line.add("problem", kind)
    if let endpoint { line.add("endpoint", "\(endpoint)") }
  }

  /// The kind of a failure, for programs.
  static func kind(of failure: QuorumFailure) -> String {
    switch failure {
    case .rejected: "rejected"
    case .notDone(.noQuorum), .notDone(.foundedWithoutLeader): "noQuorum"
    case .notDone(.notFounded): "notFounded"
    case .notDone: "notDone"
    case .unknown: "unknown"
    case .changedMeanwhile: "changedMeanwhile"
    case .storage: "storage"
    case .isOpen: "isOpen"
    }
  }

  private static func list(_ members: [MemberID]) -> String { members.map { "\($0.endpoint)" }.joined(separator: ", ") }

  private static func hex(_ hash: UInt64) -> String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
