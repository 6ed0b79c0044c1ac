import Foundation
import Glue
import GlueStore
import Testing

@Suite("EndToEnd: quorum models", .serialized, .timeLimit(.minutes(2)))
struct EndToEndQuorumTests {
  private func settings(_ folder: URL, _ name: String) throws -> Quorum.Settings {
    var settings = Quorum.Settings()
    settings.storage = try FileLogDirectory(directory: folder.appending(path: name).path, quorum: "vault")
    settings.timeout = .seconds(20)
    return settings
  }

  private func withVoters(
    _ count: Int, _ body: (LoopbackNetwork, [Endpoint], [Quorum], URL) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "glue-quorum-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let network = LoopbackNetwork()
    var endpoints: [Endpoint] = []
    var quorums: [Quorum] = []
    for number in 0..<count {
      let endpoint = try await network.start("voter\(number)")
      endpoints.append(endpoint)
      quorums.append(try await endpoint.quorum("vault", try settings(folder, "\(number)")))
    }
    try await quorums[0].initialize(voters: endpoints.map(\.id), timeout: .seconds(30))
    try await body(network, endpoints, quorums, folder)
    for quorum in quorums { quorum.close() }
    for endpoint in endpoints { await endpoint.shutdown() }
  }

  @Test("What one endpoint has decided all others read, with or without a vote")
  func decided() async throws {
    try await withVoters(3) { network, _, quorums, _ in
      let index = try await quorums[1].set("alarm/armed", to: true)
      #expect(index > 0)
      for quorum in quorums { #expect(try await quorum.read("alarm/armed")?.bool == true) }
      let observer = try await network.start("observer")
      let vault = try await observer.quorum("vault")
      #expect(try await vault.read("alarm/armed", timeout: .seconds(20))?.bool == true)
      #expect(try await vault.compareAndSet("alarm/armed", expecting: true, to: false, timeout: .seconds(20)))
      #expect(try await !vault.compareAndSet("alarm/armed", expecting: true, to: nil, timeout: .seconds(20)))
      #expect(try await quorums[2].read("alarm/armed")?.bool == false)
      #expect(try await vault.compareAndSet("alarm/guard", expecting: nil, to: "Ada", timeout: .seconds(20)))
      #expect(try await !vault.compareAndSet("alarm/guard", expecting: nil, to: "Bob", timeout: .seconds(20)))
      let stale = try vault.readStale("alarm/armed")
      #expect(stale.node?.bool == false && stale.age != nil)
      await observer.shutdown()
    }
  }

  @Test("Of those who change the same at the same time nobody's change is lost")
  func transactions() async throws {
    try await withVoters(3) { _, _, quorums, _ in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for quorum in quorums {
          group.addTask {
            for _ in 0..<5 {
              try await quorum.update { edits in
                let count = try edits.read("n")?.int ?? 0
                try edits.set("n", to: .int(count + 1))
              }
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await quorums[0].read("n")?.int == 15)
    }
  }

  @Test("Who watches sees what is decided, in the order of the log")
  func watching() async throws {
    try await withVoters(1) { _, _, quorums, _ in
      let changes = try quorums[0].changes(under: "a")
      for number in 1...20 { try await quorums[0].set("a/b", to: .int(Int64(number))) }
      var last: LogIndex = 0
      var seen: [Int64] = []
      for await change in changes {
        #expect(change.index > last)
        last = change.index
        if case .value(let value)? = change.changes.last?.new, let number = value.int { seen.append(number) }
        if seen.last == 20 { break }
      }
      #expect(seen == seen.sorted())
    }
  }

  @Test("A lock has one holder, whose token the next one's is above")
  func locks() async throws {
    try await withVoters(3) { _, _, quorums, _ in
      let first = try await quorums[0].lock("door", note: "first")
      await #expect(throws: QuorumFailure.rejected(.held(lock: "door", note: "first"))) {
        _ = try await quorums[1].lock("door", timeout: .zero)
      }
      async let second = quorums[1].lock("door", timeout: .seconds(20))
      try await eventually("the second one waits") { quorums[0].status.locks.first?.waiting == 1 }
      #expect(first.isHeld)
      try await first.release()
      #expect(try await second.token > first.token)
      #expect(try await second.isHeld)
    }
  }

  @Test("Who is no member cannot be removed, and a vote can be taken")
  func members() async throws {
    try await withVoters(3) { _, endpoints, quorums, _ in
      let ids = endpoints.map(\.id).sorted()
      await #expect(throws: QuorumFailure.notDone(.notMember(EndpointID(999), members: ids))) {
        try await quorums[1].removeMember(EndpointID(999), timeout: .seconds(20))
      }
      try await quorums[0].addMember(endpoints[2].id, asVoter: false, timeout: .seconds(20))
      try await quorums[0].catchUp()
      #expect(quorums[0].status.membership?.learners.map(\.endpoint) == [endpoints[2].id])
      try await quorums[0].removeMember(endpoints[2].id, timeout: .seconds(20))
      await #expect(throws: QuorumFailure.self) {
        try await quorums[0].removeMember(endpoints[2].id, timeout: .seconds(20))
      }
    }
  }

  @Test("What was decided is there after all have ended and begun again")
  func restarted() async throws {
    try await withVoters(3) { network, endpoints, quorums, folder in
      try await quorums[0].set("a", to: 1)
      for quorum in quorums { quorum.close() }
      var again: [Quorum] = []
      for (number, endpoint) in endpoints.enumerated() {
        again.append(try await endpoint.quorum("vault", try settings(folder, "\(number)")))
      }
      #expect(try await again[2].read("a")?.int == 1)
      try await again[1].set("a", to: 2)
      #expect(try await again[0].read("a")?.int == 2)
      for quorum in again { quorum.close() }
    }
  }

  @Test("Without a majority calls end with who is missing, and a storage serves one opening at a time")
  func refusals() async throws {
    try await withVoters(3) { network, endpoints, quorums, folder in
      try await quorums[0].set("a", to: 1)
      let other = try await network.start("other")
      await #expect(throws: QuorumFailure.self) {
        _ = try await other.quorum("vault", try settings(folder, "0"))
      }
      await #expect(throws: QuorumFailure.isOpen("vault")) { _ = try await endpoints[0].quorum("vault") }
      quorums[1].close()
      quorums[2].close()
      try await eventually("the two are gone") {
        quorums[0].status.missing == [endpoints[1].id, endpoints[2].id].sorted()
      }
      do {
        try await quorums[0].set("a", to: 2, timeout: .seconds(2))
        Issue.record("it was decided by one of three")
      } catch QuorumFailure.notDone(.noQuorum(let missing)) {
        #expect(missing == [endpoints[1].id, endpoints[2].id].sorted())
      } catch QuorumFailure.unknown(_, let missing) {
        #expect(missing == [endpoints[1].id, endpoints[2].id].sorted())
      }
      await other.shutdown()
    }
  }
}
