import GlueAddress
import GlueNetwork
import Synchronization
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

@Suite struct PollerTests {
  @Test func timeoutPassesWithNothingReady() throws {
    let poller = try Poller()
    let start = MonotonicClock.nowNanoseconds()
    #expect(try poller.wait(timeoutNanoseconds: 2_000_000).isEmpty)
    #expect(MonotonicClock.nowNanoseconds() - start >= 2_000_000)
    #expect(try poller.wait(timeoutNanoseconds: 0).isEmpty)
  }

  @Test func onlyTheSocketWithADatagramIsReadable() throws {
    let poller = try Poller()
    let sockets = [try localSocket(), try localSocket(), try localSocket()]
    let slots = try sockets.map { try poller.add($0) }
    let batch = SendBatch()
    batch.append([1], to: sockets[1].localAddress)
    #expect(sockets[0].send(batch).sentCount == 1)
    let ready = try poller.wait(timeoutNanoseconds: deadlineNanoseconds)
    #expect(slots.map(ready.isReadable) == [false, true, false])
    #expect(slots.map(ready.isWritable) == [false, false, false])
    #expect(!ready.wasWoken)

    poller.remove(sockets[1])
    poller.remove(sockets[1])
    #expect(try poller.wait(timeoutNanoseconds: 0).isEmpty)
    #expect(try poller.add(sockets[1]) == slots[1])
    #expect(throws: NetworkError.self) { try poller.add(sockets[1]) }
  }

  @Test func writabilityIsToldWhenAskedFor() throws {
    let poller = try Poller()
    let socket = try localSocket()
    let slot = try poller.add(socket)
    poller.setWatchesWritability(true, of: socket)
    #expect(try poller.wait(timeoutNanoseconds: deadlineNanoseconds).isWritable(slot))
    poller.setWatchesWritability(false, of: socket)
    #expect(try poller.wait(timeoutNanoseconds: 0).isEmpty)
  }

  @Test func wakingBeforeWaitingCountsOnce() throws {
    let poller = try Poller()
    poller.wake()
    poller.wake()
    #expect(try poller.wait(timeoutNanoseconds: deadlineNanoseconds).wasWoken)
    #expect(try poller.wait(timeoutNanoseconds: 0).isEmpty)
    poller.wake()
    #expect(try poller.wait(timeoutNanoseconds: nil).wasWoken)
  }

  /// Two threads hand a number over by waking each other; a lost wake-up would stop them for the deadline.
  @Test func noWakeUpIsLost() throws {
    let rounds = 20_000
    let pollers = [try Poller(), try Poller()]
    let turn = Atomic<Int>(0)
    let lost = Atomic<Int>(0)
    @Sendable func play(_ player: Int) {
      while true {
        let now = turn.load(ordering: .acquiring)
        if now >= rounds { return pollers[1 - player].wake() }
        if now % 2 == player {
          turn.store(now + 1, ordering: .releasing)
          pollers[1 - player].wake()
        } else if (try? pollers[player].wait(timeoutNanoseconds: deadlineNanoseconds))?.wasWoken != true {
          lost.add(1, ordering: .relaxed)
          turn.store(rounds, ordering: .releasing)
        }
      }
    }
    let thread = Thread { play(1) }
    play(0)
    thread.join()
    #expect(lost.load(ordering: .relaxed) == 0)
  }

  /// Closing while another thread sends never sends into a foreign descriptor, and never crashes.
  @Test func closingWhileSendingIsSafe() throws {
    let far = try localSocket()
    for _ in 0..<200 {
      let near = try localSocket()
      let address = far.localAddress
      let thread = Thread {
        let batch = SendBatch(capacityBytes: 1_000, maximumDatagrams: 4)
        batch.append([1], to: address)
        while near.send(batch).failures.isEmpty {}
      }
      near.close()
      thread.join()
    }
  }

  @Test func sixtyFourSocketsFitAndNoMore() throws {
    let poller = try Poller()
    let sockets = try (0...Poller.capacity).map { _ in try localSocket() }
    let slots = try sockets.dropLast().map { try poller.add($0) }
    #expect(Set(slots).count == Poller.capacity)
    #expect(throws: NetworkError.self) { try poller.add(sockets[Poller.capacity]) }
  }

  @Test func interfaceMonitorIsQuietWithoutChanges() throws {
    let poller = try Poller()
    let monitor = try InterfaceMonitor()
    _ = try poller.add(monitor)
    _ = monitor.takeChanges()
    poller.remove(monitor)
  }
}

/// A thread to block in, which a task's thread must not.
final class Thread {
  private final class Work {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private let handle: pthread_t

  init(_ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Work(body)).toOpaque()
    #if canImport(Darwin)
      var handle: pthread_t?
    #else
      var handle = pthread_t()
    #endif
    let code = pthread_create(
      &handle, nil,
      { context in
        #if canImport(Darwin)
          let pointer = context
        #else
          let pointer = context!
        #endif
        Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
        return nil
      }, context)
    precondition(code == 0, "pthread_create failed with \(code)")
    #if canImport(Darwin)
      self.handle = handle!
    #else
      self.handle = handle
    #endif
  }

  func join() { pthread_join(handle, nil) }
}
