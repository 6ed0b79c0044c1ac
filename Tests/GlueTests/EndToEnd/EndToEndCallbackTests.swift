import Dispatch
import Glue
import Synchronization
import Testing

/// Holds callbacks until it is opened.
final class Gate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)
  private let inside = Mutex(0)

  /// How many are held, or were.
  var entered: Int { inside.withLock { $0 } }

  func pass() {
    inside.withLock { $0 += 1 }
    semaphore.wait()
    semaphore.signal()
  }

  func open() { semaphore.signal() }
}

/// The events of an endpoint so far.
final class EventLog: Sendable {
  private let events = Collected<Event>()
  private let watching: Task<Void, Never>

  init(_ endpoint: Endpoint) {
    let (sequence, events) = (endpoint.events, events)
    watching = Task { for await event in sequence { events.append(event) } }
  }

  var all: [Event] { events.all }
  func contains(_ isWanted: (Event) -> Bool) -> Bool { all.contains(where: isWanted) }
  var losses: [LossReport] {
    all.compactMap { event in
      if case .loss(let report) = event { report } else { nil }
    }
  }
  var removals: Int {
    all.count { event in
      if case .peerRemoved = event { true } else { false }
    }
  }
}

extension LoopbackNetwork {
  /// Two endpoints that know each other.
  ///
  /// - Parameter lease: In how many announcement intervals of 200 ms a silent peer is gone; by default so many that a loaded
  ///   machine does not matter.
  func pair(
    lease: Double = 100, _ change: (inout Endpoint.Configuration) -> Void = { _ in }
  ) async throws -> (Endpoint, Endpoint) {
    var settings = configuration()
    settings.discoveryTimeoutMultiplier = lease
    change(&settings)
    let (one, other) = (try await Endpoint(settings), try await Endpoint(settings))
    try await one.start()
    try await other.start()
    try await eventually("the peers") { one.peers.count == 1 && other.peers.count == 1 }
    return (one, other)
  }
}

@Suite("EndToEnd: stuck callbacks", .serialized, .timeLimit(.minutes(2)))
struct EndToEndCallbackTests {
  /// In intervals of 200 ms: 3 s.
  static let lease = 15.0
  static let longerThanTheLease = Duration.milliseconds(4_500)

  @Test("A callback that is stuck for longer than the lease stops nothing but itself", arguments: [1, 10])
  func stuckCallbacks(count: Int) async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(lease: Self.lease)
    let (events, publisherEvents) = (EventLog(subscriber), EventLog(publisher))
    let gate = Gate()
    let late = (0..<count).map { _ in Collected<UInt64>() }
    for number in 0..<count {
      try subscriber.subscribe(to: "stuck/\(number)") { message in
        gate.pass()
        late[number].append(message.sequence)
      }
    }
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "callback") { received.append($0.sequence) }
    let sequence = try subscriber.subscribe(to: "sequence")
    let taken = Collected<UInt64>()
    let reading = Task { for await message in sequence { taken.append(message.sequence) } }
    let answers = Collected<UInt64>()
    try publisher.subscribe(to: "answer") { answers.append($0.sequence) }

    let stuck = try (0..<count).map { try publisher.publication("stuck/\($0)") }
    let (one, other) = (try publisher.publication("callback"), try publisher.publication("sequence"))
    let answer = try subscriber.publication("answer")
    for publication in stuck + [one, other, answer] {
      try await publication.awaitSubscribers(1, timeout: .seconds(10))
    }
    for publication in stuck { try await publication.publish("x") }
    try await eventually("all are stuck") { gate.entered == count }

    // For longer than the lease everything else goes on.
    let end = ContinuousClock.now + Self.longerThanTheLease
    var rounds: UInt64 = 0
    while ContinuousClock.now < end {
      let receipts = [try await one.publish("x"), try await other.publish("x"), try await stuck[0].publish("y")]
      for receipt in receipts { #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged) }
      // From a thread of the program, and acknowledged to it.
      let receipt = try await answer.publish("x")
      #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
      rounds += 1
      let expected = Array(0..<rounds)
      try await eventually("all have it") {
        received.all == expected && taken.all == expected && answers.all == expected
      }
    }
    await #expect(throws: EndpointFailure.timedOut(waitingFor: "2 subscribers of answer")) {
      try await answer.awaitSubscribers(2, timeout: .milliseconds(20))
    }
    #expect(gate.entered == count)
    #expect(publisher.peers.count == 1 && subscriber.peers.count == 1)
    #expect(events.removals == 0 && publisherEvents.removals == 0)
    for number in 0..<count {
      #expect(
        events.contains { event in
          if case .slowCallback("stuck/\(number)", let duration, isOver: false) = event {
            return duration >= .milliseconds(10)
          }
          return false
        })
    }

    let total = rounds
    gate.open()
    try await eventually("what has waited") { late[0].all == Array(0...total) }
    try await eventually("the ends are told") {
      (0..<count).allSatisfy { number in
        events.contains { event in
          if case .slowCallback("stuck/\(number)", let duration, isOver: true) = event {
            return duration >= Self.longerThanTheLease
          }
          return false
        }
      }
    }
    #expect(late.dropFirst().allSatisfy { $0.all == [0] })
    // Attached again: it is called as before.
    try await stuck[0].publish("z")
    try await eventually("the next one") { late[0].count == Int(total) + 2 }
    #expect(events.losses.isEmpty)
    await publisher.shutdown()
    await subscriber.shutdown()
    await reading.value
  }

  @Test("When no thread is left callbacks wait for one; the rest goes on")
  func threadLimit() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(lease: Self.lease) { $0.callbackThreadLimit = 2 }
    let events = EventLog(subscriber)
    let gates = [Gate(), Gate()]
    for (number, gate) in gates.enumerated() { try subscriber.subscribe(to: "stuck/\(number)") { _ in gate.pass() } }
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "callback") { received.append($0.sequence) }
    let sequence = try subscriber.subscribe(to: "sequence")
    let taken = Collected<UInt64>()
    let reading = Task { for await message in sequence { taken.append(message.sequence) } }
    let stuck = try gates.indices.map { try publisher.publication("stuck/\($0)") }
    let (one, other) = (try publisher.publication("callback"), try publisher.publication("sequence"))
    for publication in stuck + [one, other] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    for publication in stuck { try await publication.publish("x") }
    try await eventually("two are stuck, and relieved") { subscriber.counter("driver.relievedCallbacks") == 2 }

    let end = ContinuousClock.now + Self.longerThanTheLease
    var rounds: UInt64 = 0
    while ContinuousClock.now < end {
      for publication in [one, other] {
        let receipt = try await publication.publish("x")
        #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
      }
      rounds += 1
      let expected = Array(0..<rounds)
      try await eventually("the sequence has it") { taken.all == expected }
    }
    #expect(received.count == 0)
    #expect(publisher.peers.count == 1 && subscriber.peers.count == 1)
    #expect(
      events.contains { event in
        if case .limit(name: "callbackThreadLimit", _) = event { true } else { false }
      })
    let total = rounds
    gates[0].open()
    try await eventually("a thread is free") { received.all == Array(0..<total) }
    try await one.publish("x")
    try await eventually("it is called as before") { received.count == Int(total) + 1 }
    gates[1].open()
    #expect(events.losses.isEmpty && events.removals == 0)
    await publisher.shutdown()
    await subscriber.shutdown()
    await reading.value
  }

  @Test("A subscription that is cancelled while it waits for a thread is gone at once")
  func cancelledWhileItWaits() async throws {
    /// What a closure holds.
    final class Token: Sendable {
      let ended: Collected<Bool>
      init(_ ended: Collected<Bool>) { self.ended = ended }
      deinit { ended.append(true) }
    }
    let (publisher, subscriber) = try await LoopbackNetwork().pair { $0.callbackThreadLimit = 1 }
    let gate = Gate()
    try subscriber.subscribe(to: "stuck") { _ in gate.pass() }
    let ended = Collected<Bool>()
    func subscribe() throws -> CallbackSubscription {
      let token = Token(ended)
      return try subscriber.subscribe(to: "waiting") { _ in _ = token.ended }
    }
    var waiting: CallbackSubscription? = try subscribe()
    let (stuck, publication) = (try publisher.publication("stuck"), try publisher.publication("waiting"))
    for publication in [stuck, publication] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    try await stuck.publish("x")
    try await eventually("relieved") { subscriber.counter("driver.relievedCallbacks") == 1 }
    try await publication.publish("x")
    try await eventually("it waits") { subscriber.counter("driver.callbackThreadLimit") > 0 }
    #expect(ended.count == 0)
    waiting?.cancel()
    waiting = nil
    // The thread is still stuck, and holds nothing of the one that waited for it.
    try await eventually("nothing of it is left") { ended.count == 1 }
    gate.open()
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A subscription that is always behind leaves the only thread to others that wait")
  func threadLimitIsShared() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair { $0.callbackThreadLimit = 1 }
    let gate = Gate()
    let (busy, waiting) = (Collected<UInt64>(), Collected<UInt64>())
    let again = try subscriber.publication("busy")
    try subscriber.subscribe(to: "busy") { message in
      gate.pass()
      sleepInCallback(.milliseconds(5))
      busy.append(message.sequence)
      // For each message one more, until the other one has had its turn.
      if waiting.count < 3 { _ = try? again.tryPublish("x") }
    }
    try subscriber.subscribe(to: "waiting") { waiting.append($0.sequence) }
    let publication = try publisher.publication("waiting")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    for _ in 0..<100 { try await again.publish("x") }
    try await eventually("relieved") { subscriber.counter("driver.relievedCallbacks") == 1 }
    for _ in 0..<3 { try await publication.publish("x") }
    try await eventually("it waits") { subscriber.counter("driver.callbackThreadLimit") > 0 }
    gate.open()
    try await eventually("the one that waits") { waiting.all == [0, 1, 2] }
    try await eventually("the rest") { busy.count >= 100 }
    let order = busy.all
    #expect(order == Array(0..<UInt64(order.count)))
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("Calls of one subscription do not overlap, and keep their order, however long they take")
  func orderOfSlowCallbacks() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = try await network.pair()
    var settings = network.configuration()
    settings.discoveryTimeoutMultiplier = 100
    let second = try await Endpoint(settings)
    try await second.start()
    let received = Mutex<[EndpointID: [UInt64]]>([:])
    let isInside = Atomic<Bool>(false)
    let overlaps = Atomic<Int>(0)
    let others = Collected<UInt64>()
    try subscriber.subscribe(to: "t") { message in
      if isInside.exchange(true, ordering: .acquiringAndReleasing) { overlaps.add(1, ordering: .relaxed) }
      // Now and then long enough for another thread to take over, and shorter than the messages that follow last.
      if message.sequence % 40 == 0 { sleepInCallback(.milliseconds(30)) }
      received.withLock { $0[message.publisher.id, default: []].append(message.sequence) }
      isInside.store(false, ordering: .releasing)
    }
    try subscriber.subscribe(to: "#") { others.append($0.sequence) }
    let publications = [try publisher.publication("t"), try second.publication("t"), try subscriber.publication("t")]
    for (publication, count) in zip(publications, [1, 1, 0]) {
      try await publication.awaitSubscribers(count, timeout: .seconds(10))
    }
    let total = 400
    try await withThrowingTaskGroup(of: Void.self) { group in
      for publication in publications {
        group.addTask {
          for number in 0..<total {
            try await publication.publish([UInt8](repeating: 7, count: 100))
            if number % 10 == 0 { try await Task.sleep(for: .milliseconds(1)) }
          }
        }
      }
      try await group.waitForAll()
    }
    try await eventually("everything", limit: .seconds(40)) {
      received.withLock { $0.values.reduce(0) { $0 + $1.count } } == 3 * total && others.count == 3 * total
    }
    #expect(received.withLock { $0.values.allSatisfy { $0 == Array(0..<UInt64(total)) } })
    #expect(overlaps.load(ordering: .relaxed) == 0)
    #expect(subscriber.counter("driver.relievedCallbacks") > 0)
    for endpoint in [publisher, second, subscriber] { await endpoint.shutdown() }
  }

  @Test("Many callbacks that are slow together do not stop the endpoint")
  func manySlowCallbacks() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(lease: Self.lease)
    let events = EventLog(publisher)
    let (slow, fast) = (Collected<UInt64>(), Collected<UInt64>())
    // Each is too short to be noticed; together they take longer than the lease.
    try subscriber.subscribe(to: "slow") { message in
      sleepInCallback(.milliseconds(8))
      slow.append(message.sequence)
    }
    try subscriber.subscribe(to: "fast") { fast.append($0.sequence) }
    let (one, other) = (try publisher.publication("slow"), try publisher.publication("fast"))
    for publication in [one, other] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    for _ in 0..<500 { try await one.publish("x") }
    let receipt = try await other.publish("x")
    #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
    try await eventually("the fast one") { fast.count == 1 }
    #expect(slow.count < 500)
    try await eventually("the slow one", limit: .seconds(30)) { slow.all == Array(0..<500) }
    #expect(events.removals == 0)
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("What expires while it waits for a callback is not handed over, but reported")
  func expiry() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair()
    let events = EventLog(subscriber)
    let gate = Gate()
    let received = Collected<String>()
    try subscriber.subscribe(to: "t") { message in
      gate.pass()
      received.append(message.text)
    }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish("first")
    try await eventually("stuck") { subscriber.counter("driver.relievedCallbacks") == 1 }
    let receipt = try await publication.publish("gone", expiry: .milliseconds(50))
    let last = try await publication.publish("last", expiry: .seconds(60))
    #expect(await last.acknowledged(timeout: .seconds(10)) == .acknowledged)
    try await Task.sleep(for: .milliseconds(60))  // until it has expired
    gate.open()
    try await eventually("the rest") { received.all == ["first", "last"] }
    try await eventually("the loss") { events.losses.map(\.sequences) == [receipt.sequence..<receipt.sequence + 1] }
    #expect(events.losses.map(\.reason) == [.expired])
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A stuck callback can publish, before and after another thread has taken over")
  func publishing() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair()
    let gates = [Gate(), Gate()]
    let answers = Collected<String>()
    try publisher.subscribe(to: "answer") { answers.append($0.text) }
    let answer = try subscriber.publication("answer")
    try subscriber.subscribe(to: "t") { _ in
      _ = try? answer.tryPublish("before")
      gates[0].pass()
      _ = try? answer.tryPublish("after")
      gates[1].pass()
    }
    let publication = try publisher.publication("t")
    for publication in [publication, answer] { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    try await publication.publish("x")
    try await eventually("what was published before") { answers.all == ["before"] }
    gates[0].open()
    try await eventually("what was published after") { answers.all == ["before", "after"] }
    gates[1].open()
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A stuck subscription can be cancelled, from outside and from inside", arguments: [false, true])
  func cancelling(fromInside: Bool) async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair {
      $0.transport.streamWindowBytes = 64 << 10
      $0.transport.sendBufferBytes = 1 << 20
    }
    let gate = Gate()
    let (stuck, other) = (Collected<UInt64>(), Collected<UInt64>())
    let handle = Mutex<CallbackSubscription?>(nil)
    let subscription = try subscriber.subscribe(to: "t", buffering: .block(bytes: 1_000)) { message in
      stuck.append(message.sequence)
      gate.pass()
      handle.withLock { $0 }?.cancel()
    }
    try subscriber.subscribe(to: "#") { other.append($0.sequence) }
    if fromInside { handle.withLock { $0 = subscription } }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish("x")
    try await eventually("stuck") { subscriber.counter("driver.relievedCallbacks") == 1 }
    for _ in 0..<30 { try await publication.publish([UInt8](repeating: 7, count: 1_000)) }
    try await eventually("the other has them") { other.count == 31 }
    if fromInside { gate.open() } else { subscription.cancel() }
    // Nothing of what waited holds the publisher back any more.
    let total: UInt64 = 400
    for _ in 31..<total { try await publication.publish([UInt8](repeating: 7, count: 1_000)) }
    try await eventually("the other has all") { other.all == Array(0..<total) }
    gate.open()
    try await eventually("the thread ends") { subscriber.counter("driver.slowCallbacks") == 1 }
    try await publication.publish("x")
    try await eventually("the other has the last") { other.count == Int(total) + 1 }
    #expect(stuck.all == [0])
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("An endpoint ends while a callback is stuck, says goodbye, and lives through its return")
  func shutdown() async throws {
    var pair: (Endpoint, Endpoint)? = try await LoopbackNetwork().pair()
    let publisher = pair!.0
    let (events, gate) = (EventLog(publisher), Gate())
    let received = Collected<UInt64>()
    let gone: WeakReference<Endpoint>
    let closure: WeakReference<Collected<UInt64>>
    do {
      let held = Collected<UInt64>()
      closure = WeakReference(held)
      let subscriber = pair!.1
      pair = nil
      gone = WeakReference(subscriber)
      try subscriber.subscribe(to: "t") { message in
        held.append(message.sequence)
        received.append(message.sequence)
        gate.pass()
      }
      let publication = try publisher.publication("t")
      try await publication.awaitSubscribers(1, timeout: .seconds(10))
      for _ in 0..<3 { try await publication.publish("x") }
      try await eventually("stuck") { gate.entered == 1 }
      try await within(.seconds(20), "the shutdown") { await subscriber.shutdown(timeout: .seconds(1)) }
      try await eventually("the goodbye") {
        events.contains { event in
          if case .peerRemoved(_, reason: .bye) = event { true } else { false }
        }
      }
    }
    try await eventually("the endpoint is gone") { gone.object == nil }
    #expect(closure.object != nil)
    gate.open()
    try await eventually("the thread has ended") { closure.object == nil }
    #expect(received.all == [0])
    await publisher.shutdown()
  }
}

struct WeakReference<Object: AnyObject & Sendable>: Sendable {
  weak let object: Object?
  init(_ object: Object) { self.object = object }
}

extension Endpoint {
  func counter(_ name: String) -> UInt64 { counters.first { $0.name == name }?.value ?? 0 }
}

/// Blocks the thread, as a callback must not.
func sleepInCallback(_ duration: Duration) {
  let semaphore = DispatchSemaphore(value: 0)
  let nanoseconds = duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
  _ = semaphore.wait(timeout: .now() + .nanoseconds(Int(nanoseconds)))
}
