import GlueCore

@testable import GlueQuorum

/// What has to hold whatever happens.
struct RaftJudge {
  var breach: String?
  var leaders: [Term: MemberID] = [:]
  var committed: [LogIndex: RaftEntry] = [:]
  var newest: LogIndex = 1

  mutating func commit(_ entry: RaftEntry) {
    if let other = committed[entry.index], other != entry {
      breach = "entry \(entry.index) was committed as \(other), then as \(entry)"
    }
    committed[entry.index] = entry
    newest = max(newest, entry.index)
  }

  mutating func sent(_ message: RaftMessage, from member: MemberID) {
    guard case .append(let append) = message else { return }
    if let other = leaders[append.term], other != member {
      breach = "\(other) and \(member) lead in term \(append.term)"
    }
    leaders[append.term] = member
  }

  /// The first leader of a term, whether each leader has what is committed, and whether all go by their logs.
  mutating func check(_ nodes: [RaftNetwork.Node]) {
    for node in nodes {
      guard let machine = node.machine else { continue }
      if let entry = committed[machine.commitIndex], let term = machine.log.term(at: entry.index), term != entry.term {
        breach = "\(node.id) takes entry \(entry.index) of term \(term) for committed, which is of \(entry.term)"
      }
      if let last = machine.log.lastMembership, last != machine.membership {
        breach = "\(node.id) goes by \(machine.membership), and its log says \(last)"
      }
      guard machine.role == .leader else { continue }
      if let other = leaders[machine.term], other != node.id {
        breach = "\(other) and \(node.id) lead in term \(machine.term)"
      }
      leaders[machine.term] = node.id
      // Older leaders that do not know of a later one yet may lack what that one committed.
      if let newest = committed[newest], machine.term == leaders.keys.max(), machine.lastIndex < newest.index {
        breach = "the leader of term \(machine.term) lacks entry \(newest.index)"
      }
    }
  }

  func membership(at index: LogIndex, from snapshot: RaftSnapshot) -> Membership {
    var place = index
    while place > snapshot.index {
      if case .membership(let membership)? = committed[place]?.content { return membership }
      place -= 1
    }
    return snapshot.membership
  }
}

extension RaftLog {
  /// The last membership among the entries in memory.
  fileprivate var lastMembership: Membership? {
    var index = lastIndex
    while index > baseIndex {
      if case .membership(let membership)? = entry(at: index)?.content { return membership }
      index -= 1
    }
    return nil
  }
}
