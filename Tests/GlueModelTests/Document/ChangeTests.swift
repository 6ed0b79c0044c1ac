import GlueCore
import Testing

@testable import GlueModel

/// A leaf by its place: for a set by its element too.
private struct Place: Hashable {
  var path: ModelPath
  var element: ModelValue?

  init(_ path: ModelPath, _ content: ModelContent?) {
    self.path = path
    if case .element(let element) = content { self.element = element }
  }
}

@Suite struct ChangeTests {
  private func leaves(_ document: Document) -> [Place: ModelContent] {
    var result: [Place: ModelContent] = [:]
    for leaf in document.leaves(under: .root) { result[Place(leaf.path, leaf.content)] = leaf.content }
    return result
  }

  private func follow(_ changes: [ModelChange], from before: [Place: ModelContent]) -> [Place: ModelContent]? {
    var leaves = before
    for change in changes where change.old != nil {
      guard leaves.removeValue(forKey: Place(change.path, change.old)) == change.old else { return nil }
    }
    for change in changes {
      if let new = change.new { leaves[Place(change.path, new)] = new }
    }
    return leaves
  }

  @Test(arguments: [nil, ModelPolicy.keepAll]) func leavesAndChangesMakeTheLeavesAfterThem(policy: ModelPolicy?) {
    for seed in LatticeTests.seeds {
      var history = RandomHistory(seed: seed, replicas: 3)
      for index in history.documents.indices {
        if let policy { history.documents[index].policies.set(policy, under: .root) }
      }
      for _ in 0..<40 {
        let before = history.documents.map(leaves)
        if history.below(2) == 0 {
          let (index, edits, applied) = history.edit()
          let after = follow(applied?.changes ?? [], from: before[index])
          #expect(after == leaves(history.documents[index]), "seed \(seed): \(edits)")
        } else if let (index, _, merged) = history.deliver() {
          #expect(follow(merged.changes, from: before[index]) == leaves(history.documents[index]), "seed \(seed)")
        }
      }
      // And one that has much to merge at once.
      var other = Document(replica: ReplicaID(endpoint: EndpointID(9), number: 9))
      if let policy { other.policies.set(policy, under: .root) }
      for document in history.documents {
        let before = leaves(other)
        #expect(follow(other.merge(document.state()).changes, from: before) == leaves(other), "seed \(seed)")
      }
    }
  }

  @Test func changesTellWhoAndWhenAndHow() throws {
    let a = ReplicaID(endpoint: EndpointID(1), number: 1)
    var one = Document(replica: a)
    var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 2))
    let path = try ModelPath("x")
    let first = try #require(try one.apply([.set(path, 1)], at: 10))
    #expect(
      first.changes == [
        ModelChange(path: path, old: nil, new: .value(1), writer: EndpointID(1), time: 10, cause: .local)
      ])
    #expect(
      other.merge(first.delta).changes == [
        ModelChange(path: path, old: nil, new: .value(1), writer: EndpointID(1), time: 10, cause: .remote)
      ])
    let second = try #require(try one.apply([.set(path, 2)], at: 20))
    let third = try #require(try other.apply([.set(path, 3)], at: 30))
    // The earlier one changes nothing that is shown; that there is a conflict now is told.
    #expect(
      other.merge(second.delta).changes == [
        ModelChange(path: path, old: .value(3), new: .value(3), writer: EndpointID(2), time: 30, cause: .merged)
      ])
    #expect(
      one.merge(third.delta).changes == [
        ModelChange(path: path, old: .value(2), new: .value(3), writer: EndpointID(2), time: 30, cause: .merged)
      ])
    #expect(one.conflicts(under: .root) == other.conflicts(under: .root))
    #expect(one.conflicts(under: .root).first?.candidates.map(\.value) == [3, 2])
    let fourth = try #require(try other.apply([.delete(path)], at: 40))
    #expect(
      one.merge(fourth.delta).changes == [
        ModelChange(path: path, old: .value(3), new: nil, writer: EndpointID(2), time: 40, cause: .merged)
      ])
    #expect(one.read(path) == nil && one.keyCount == 0)
  }
}
