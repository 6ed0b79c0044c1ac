import Synchronization
import Testing

@testable import Glue

extension Endpoint {
  /// Whether the caller runs on this endpoint's I/O thread.
  fileprivate var isOnOwnThread: Bool { driver.ioThread.load(ordering: .relaxed) == IOThread.current }
}

/// What tasks of a test share.
private final class Turns: Sendable {
  let count = Atomic(0)
  let isOver = Atomic(false)

  /// Yields until it is over.
  func take() async {
    while !isOver.load(ordering: .relaxed) {
      count.add(1, ordering: .relaxed)
      await Task.yield()
    }
  }
}

@Suite("EndToEnd: tasks on the endpoint's executor", .serialized, .timeLimit(.minutes(2)))
struct EndToEndExecutorTests {
  /// In intervals of 200 ms: 3 s.
  static let lease = 15.0
  static let longerThanTheLease = Duration.milliseconds(4_500)

  @Test("A conversation between tasks stays on the I/O threads")
  func conversation() async throws {
    let (here, there) = try await LoopbackNetwork().pair()
    let (questions, answers) = (try here.subscribe(to: "answer"), try there.subscribe(to: "question"))
    let (ask, answer) = (try here.publication("question"), try there.publication("answer"))
    for publication in [ask, answer] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    let elsewhere = Collected<UInt64>()
    let answering = Task(executorPreference: there.executor) {
      for await message in answers {
        if !there.isOnOwnThread { elsewhere.append(message.sequence) }
        try await answer.publish(message.bytes)
      }
    }
    let asking = Task(executorPreference: here.executor) {
      var seen: [UInt64] = []
      try await ask.publish("x")
      for await message in questions {
        if !here.isOnOwnThread { elsewhere.append(message.sequence) }
        seen.append(message.sequence)
        guard seen.count < 300 else { break }
        try await ask.publish("x")
      }
      return seen
    }
    let seen = try await within { try await asking.value }
    #expect(seen == Array(0..<300))
    #expect(elsewhere.all.isEmpty)
    await here.shutdown()
    await there.shutdown()
    try await answering.value
  }

  @Test("Each task that another thread starts is run, however deep the endpoint sleeps")
  func wakes() async throws {
    let endpoint = try await LoopbackNetwork().start()
    for _ in 0..<1_000 {
      let isOwn = try await within {
        await Task(executorPreference: endpoint.executor) { endpoint.isOnOwnThread }.value
      }
      #expect(isOwn)
    }
    // Many at once, which also start others.
    let count = try await within {
      await withTaskGroup(of: Int.self) { group in
        for _ in 0..<100 {
          group.addTask(executorPreference: endpoint.executor) {
            var count = 0
            for _ in 0..<100 {
              await Task.yield()
              count += await Task(executorPreference: endpoint.executor) { 1 }.value
            }
            return count
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(count == 10_000)
    await endpoint.shutdown()
  }

  @Test("Without the endpoint's thread tasks run all the same: before the start, over the end, and after it")
  func withoutThread() async throws {
    let network = LoopbackNetwork()
    for _ in 0..<20 {
      let endpoint = try await Endpoint(network.configuration())
      let executor = endpoint.executor
      let early = try await within { await Task(executorPreference: executor) { endpoint.isOnOwnThread }.value }
      #expect(!early)
      let turns = Turns()
      let lasting = (0..<4).map { _ in Task(executorPreference: executor) { await turns.take() } }
      try await endpoint.start()
      try await eventually("they take turns") { turns.count.load(ordering: .relaxed) > 100 }
      // By a task that runs on the very thread which has to end.
      try await within { await Task(executorPreference: executor) { await endpoint.shutdown() }.value }
      let before = turns.count.load(ordering: .relaxed)
      try await eventually("they still do") { turns.count.load(ordering: .relaxed) > before + 100 }
      turns.isOver.store(true, ordering: .relaxed)
      for task in lasting { try await within { await task.value } }
      let late = try await within { await Task(executorPreference: executor) { endpoint.isOnOwnThread }.value }
      #expect(!late)
    }
  }

  @Test("A task that is stuck for longer than the lease stops nothing but itself")
  func stuck() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(lease: Self.lease)
    let (events, publisherEvents) = (EventLog(subscriber), EventLog(publisher))
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "callback") { received.append($0.sequence) }
    let sequence = try subscriber.subscribe(to: "sequence")
    let taken = Collected<UInt64>()
    let reading = Task(executorPreference: subscriber.executor) {
      for await message in sequence { taken.append(message.sequence) }
    }
    let (one, other) = (try publisher.publication("callback"), try publisher.publication("sequence"))
    for publication in [one, other] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }

    let gate = Gate()
    let stuck = Task(executorPreference: subscriber.executor) {
      gate.pass()
      // A thread that has to wait for a processor meanwhile is relieved itself.
      for _ in 0..<100 {
        await Task.yield()
        if subscriber.isOnOwnThread { return true }
      }
      return false
    }
    try await eventually("it is stuck, and relieved") { subscriber.counter("driver.relievedCallbacks") == 1 }
    let end = ContinuousClock.now + Self.longerThanTheLease
    var rounds: UInt64 = 0
    while ContinuousClock.now < end {
      for publication in [one, other] {
        let receipt = try await publication.publish("x")
        #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
      }
      rounds += 1
      let expected = Array(0..<rounds)
      try await eventually("all have it") { received.all == expected && taken.all == expected }
    }
    #expect(publisher.peers.count == 1 && subscriber.peers.count == 1)
    #expect(events.removals == 0 && publisherEvents.removals == 0)
    #expect(
      events.contains { event in
        if case .slowCallback("", let duration, isOver: false) = event { duration >= .milliseconds(10) } else { false }
      })
    gate.open()
    // What it does next is done on the thread that has taken over.
    #expect(try await within { await stuck.value })
    try await eventually("the end is told") {
      events.contains { event in
        if case .slowCallback("", let duration, isOver: true) = event {
          duration >= Self.longerThanTheLease
        } else {
          false
        }
      }
    }
    await publisher.shutdown()
    await subscriber.shutdown()
    await reading.value
    #expect(events.losses.isEmpty)
  }

  @Test("When no thread is left tasks run elsewhere, and a thread that comes back takes what callbacks have waited for")
  func threadLimit() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair { $0.callbackThreadLimit = 1 }
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "callback") { received.append($0.sequence) }
    let publication = try publisher.publication("callback")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    let gate = Gate()
    let stuck = Task(executorPreference: subscriber.executor) { gate.pass() }
    try await eventually("it is stuck, and relieved") { subscriber.counter("driver.relievedCallbacks") == 1 }

    let isOwn = try await within {
      await Task(executorPreference: subscriber.executor) { subscriber.isOnOwnThread }.value
    }
    #expect(!isOwn)
    let receipt = try await publication.publish("x")
    #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
    try await eventually("the callback waits") { subscriber.counter("driver.callbackThreadLimit") > 0 }
    #expect(received.count == 0)

    gate.open()
    try await within { await stuck.value }
    try await eventually("the callback is called") { received.all == [0] }
    try await eventually("tasks run on the endpoint's thread again") {
      await Task(executorPreference: subscriber.executor) { subscriber.isOnOwnThread }.value
    }
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A task that keeps the thread busy keeps out nobody")
  func busy() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(lease: Self.lease)
    let events = EventLog(publisher)
    let turns = Turns()
    let busy = (0..<2).map { _ in Task(executorPreference: subscriber.executor) { await turns.take() } }
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "t") { received.append($0.sequence) }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    let end = ContinuousClock.now + Self.longerThanTheLease
    var rounds: UInt64 = 0
    while ContinuousClock.now < end {
      let receipt = try await publication.publish("x")
      #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
      rounds += 1
    }
    let expected = Array(0..<rounds)
    try await eventually("all are there") { received.all == expected }
    #expect(events.removals == 0)
    turns.isOver.store(true, ordering: .relaxed)
    for task in busy { try await within { await task.value } }
    await publisher.shutdown()
    await subscriber.shutdown()
  }
}
