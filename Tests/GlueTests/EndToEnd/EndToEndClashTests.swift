import Glue
import Testing

@Suite("EndToEnd: clashes", .timeLimit(.minutes(5)))
struct EndToEndClashTests {
  /// Two endpoints that started within about a second of each other count as equally old: chance decides between them.
  /// There is nothing to wait for but time.
  private static func comeOfAge() async throws {
    try await Task.sleep(for: .milliseconds(1_700))
  }

  @Test("The second endpoint with an ID is refused, and told who holds it; the holder goes on")
  func clashOfIDs() async throws {
    let network = LoopbackNetwork()
    let holder = try await network.start("holder", id: 5)
    try await Self.comeOfAge()
    let second = try await Endpoint(network.configuration("second", id: 5))
    let failure = try await within {
      do {
        try await second.run()
        return EndpointFailure?.none
      } catch let failure as EndpointFailure {
        return failure
      }
    }
    guard case .clash(let notice) = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    #expect(notice.subject == .endpointID)
    #expect(notice.holder.name == "holder")
    #expect("\(try #require(failure))".contains("holder (5"))
    #expect(second.failure == failure)
    await #expect(throws: EndpointFailure.clash(notice)) { try await second.publish("x", to: "t") }
    #expect(holder.failure == nil)
    try await holder.publish("still here", to: "t")
    await holder.shutdown()
  }

  @Test("The second endpoint with a name is refused")
  func clashOfNames() async throws {
    let network = LoopbackNetwork()
    let holder = try await network.start("same", id: 1)
    try await Self.comeOfAge()
    let second = try await network.start("same", id: 2)
    try await eventually("the clash") { second.failure != nil }
    guard case .clash(let notice) = second.failure else {
      Issue.record("\(String(describing: second.failure))")
      return
    }
    #expect(notice.subject == .endpointName)
    #expect(notice.holder.id == EndpointID(1))
    await second.shutdown()
    await holder.shutdown()
  }
}
