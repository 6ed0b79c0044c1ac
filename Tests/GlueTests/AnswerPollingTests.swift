import Foundation
import Synchronization
import Testing

@testable import Glue

@Suite("Answers are polled for")
struct AnswerPollingTests {
  /// How many turns pass without polling before the next try.
  private func skips(_ polling: inout AnswerPolling) -> Int {
    var count = 0
    while !polling.begins() { count += 1 }
    return count
  }

  private func start(_ name: String, in network: LoopbackNetwork, polling limit: Duration) async throws -> Endpoint {
    var configuration = network.configuration(name)
    configuration.answerPollingLimit = limit
    let endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    return endpoint
  }

  @Test("As long as answers come in time, always; otherwise ever more rarely")
  func policy() {
    var polling = AnswerPolling()
    for _ in 0..<100 {
      #expect(skips(&polling) == 0)
      polling.hit()
    }
    var seen: [Int] = []
    for _ in 0..<8 {
      polling.missed()
      seen.append(skips(&polling))
    }
    #expect(seen == [1, 3, 7, 15, 31, 63, 63, 63])
    // One answer in time is no proof that the next ones will be, six are.
    polling.hit()
    polling.missed()
    #expect(skips(&polling) == 63)
    for _ in 0..<6 { polling.hit() }
    polling.missed()
    #expect(skips(&polling) == 1)
  }

  @Test("A conversation without a pause keeps nobody out", .timeLimit(.minutes(5)), arguments: [0, 50, 1_000])
  func others(microseconds: Int) async throws {
    let network = LoopbackNetwork()
    let (here, there) = (
      try await start("here", in: network, polling: .microseconds(microseconds)),
      try await start("there", in: network, polling: .microseconds(microseconds))
    )
    let (ping, pong) = (try here.publication("ping"), try there.publication("pong"))
    let rounds = Atomic(0)
    try there.subscribe(to: "ping") { _ in _ = try? pong.tryPublish([1]) }
    try here.subscribe(to: "pong") { _ in
      rounds.add(1, ordering: .relaxed)
      _ = try? ping.tryPublish([1])
    }
    for publication in [ping, pong] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    _ = try ping.tryPublish([1])
    try await eventually("they talk") { rounds.load(ordering: .relaxed) > 1_000 }
    if microseconds == 0 { #expect(here.counter("driver.answersPolledFor") == 0) }
    if microseconds == 1_000, ProcessInfo.processInfo.processorCount > 1 {
      // Where other work has the second processor, answers are late, and polling is tried ever more rarely.
      try await eventually("an answer was polled for") { here.counter("driver.answersPolledFor") > 0 }
    }

    // Found by a socket that the conversation does not use; then messages from another thread, and from another endpoint.
    let newcomer = try await start("newcomer", in: network, polling: .microseconds(microseconds))
    try await eventually("both know the newcomer") { here.peers.count == 2 && there.peers.count == 2 }
    let heard = Collected<UInt64>()
    try here.subscribe(to: "aside") { heard.append($0.sequence) }
    let aside = try newcomer.publication("aside")
    try await aside.awaitSubscribers(1, timeout: .seconds(10))
    for _ in 0..<100 { try await aside.publish("x") }
    try await eventually("the newcomer is heard") { heard.count == 100 }

    let before = rounds.load(ordering: .relaxed)
    try await eventually("they still talk") { rounds.load(ordering: .relaxed) > before + 1_000 }
    for endpoint in [newcomer, here, there] { await endpoint.shutdown() }
  }

  @Test(
    "However long is polled before each sleep, nobody is kept out", .timeLimit(.minutes(5)), .serialized,
    arguments: [50, 20_000, 10_000_000])
  func busyPolling(microseconds: Int) async throws {
    let network = LoopbackNetwork()
    func start(_ name: String) async throws -> Endpoint {
      var configuration = network.configuration(name)
      configuration.busyPollingTime = .microseconds(microseconds)
      let endpoint = try await Endpoint(configuration)
      try await endpoint.start()
      return endpoint
    }
    // They meet by the sockets that are only looked at now and then, when timers of the threads that poll say so.
    let (here, there) = (try await start("here"), try await start("there"))
    let heard = Collected<UInt64>()
    try there.subscribe(to: "t") { heard.append($0.sequence) }
    let publication = try here.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    for sequence in 0..<100 {
      // By a thread that has to wake the one that polls, and that waits for it.
      let receipt = try await publication.publish("x")
      #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
      try await eventually("it is heard") { heard.count == sequence + 1 }
      let value = try await within { await Task(executorPreference: there.executor) { sequence }.value }
      #expect(value == sequence)
    }
    for endpoint in [here, there] { try await within { await endpoint.shutdown() } }
  }

  @Test("A callback that is stuck while answers are polled for is no suspension", .timeLimit(.minutes(5)))
  func stuckWhilePolling() async throws {
    let network = LoopbackNetwork()
    let (here, there) = (
      try await start("here", in: network, polling: .milliseconds(1)),
      try await start("there", in: network, polling: .milliseconds(1))
    )
    let (ping, pong) = (try here.publication("ping"), try there.publication("pong"))
    let rounds = Atomic(0)
    let events = Collected<Event>()
    let reading = Task { for await event in here.events { events.append(event) } }
    try there.subscribe(to: "ping") { _ in _ = try? pong.tryPublish([1]) }
    try here.subscribe(to: "pong") { _ in
      // Longer than what counts as a suspension.
      if rounds.add(1, ordering: .relaxed).newValue == 500 { Thread.sleep(forTimeInterval: 2.5) }
      _ = try? ping.tryPublish([1])
    }
    for publication in [ping, pong] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    _ = try ping.tryPublish([1])
    try await eventually("the callback has returned") {
      events.all.contains {
        // Not another one, which had to wait for a processor.
        if case .slowCallback(_, let duration, isOver: true) = $0 { duration >= .seconds(2) } else { false }
      }
    }
    #expect(here.counter("driver.relievedCallbacks") >= 1)
    #expect(!events.all.contains { if case .resumed = $0 { true } else { false } })
    for endpoint in [here, there] { await endpoint.shutdown() }
    await reading.value
  }
}
