import GlueCore
import GlueModel
import GlueQuorum
import Testing

@Suite struct QuorumStateLockTests {
  @Test func aLockGoesToThoseInLineInTheirOrderWithRisingTokens() {
    var driver = StateDriver()
    let sessions = (1...4).map { driver.open($0) }
    #expect(driver.ask(sessions[0], .lock("l", note: "first")).token == 1)
    #expect(
      driver.ask(sessions[3], .lock("l", waits: false)) == .rejected(.held(lock: "l", note: "first")))
    let requests = sessions[1...].map { driver.next($0) }
    for request in requests { #expect(driver.again(request, .lock("l")) == .waiting) }
    #expect(driver.ask(sessions[3], .lock("other")).token == 2)
    #expect(driver.state.lock("l")?.waiting == 3)
    for (place, token) in [(0, 1), (1, 3), (2, 4)] as [(Int, UInt64)] {
      driver.ask(sessions[place], .release(lock: "l", token: token))
      #expect(driver.notice(requests[place])?.token == max(3, token + 1))
      #expect(driver.state.lock("l")?.holder == sessions[place + 1])
    }
  }

  @Test func onlyTheHolderReleasesAndOnlyWithItsToken() {
    var driver = StateDriver()
    let (holder, other) = (driver.open(1), driver.open(2))
    let token = driver.ask(holder, .lock("l")).token ?? 0
    #expect(driver.ask(other, .release(lock: "l", token: token)) == .rejected(.notHeld(lock: "l")))
    #expect(driver.ask(holder, .release(lock: "l", token: token + 1)) == .rejected(.notHeld(lock: "l")))
    #expect(driver.ask(holder, .release(lock: "l", token: token)).isCommitted)
    #expect(driver.ask(holder, .release(lock: "l", token: token)) == .rejected(.notHeld(lock: "l")))
  }

  @Test func whoHoldsALockStandsInLineForItAsOthersDo() {
    var driver = StateDriver()
    let (holder, other) = (driver.open(1), driver.open(2))
    let token = driver.ask(holder, .lock("l", ttl: 1_000)).token ?? 0
    #expect(driver.ask(holder, .lock("l", waits: false)) == .rejected(.held(lock: "l", note: "")))
    let (again, last) = (driver.next(holder), driver.next(other))
    #expect(driver.again(again, .lock("l", ttl: 5_000)) == .waiting)
    #expect(driver.again(last, .lock("l")) == .waiting)
    driver.ask(holder, .release(lock: "l", token: token))
    #expect(driver.notice(again)?.token == 2)
    #expect(driver.state.lock("l")?.holder == holder)
    driver.ask(holder, .release(lock: "l", token: 2))
    #expect(driver.notice(last)?.token == 3)
    #expect(driver.state.lock("l")?.holder == other)
  }

  @Test func aLockRunsOutWhenItsHolderIsSilentForItsLife() {
    var driver = StateDriver()
    let (holder, waiter) = (driver.open(1), driver.open(2))
    let held = driver.next(holder)
    driver.again(held, .lock("l", ttl: 2_000))
    let request = driver.next(waiter)
    driver.again(request, .lock("l"), after: 1_000)
    driver.ask(holder, .keepAlive)
    driver.wait(1_999)
    #expect(driver.state.lock("l")?.holder == holder)
    #expect(driver.state.nextExpiry == driver.state.time + 1)
    driver.wait(1)
    #expect(driver.notice(request)?.token == 2)
    #expect(driver.state.outcome(of: held) == .lost)
  }

  @Test func whoWasSilentInLineForItsLifeIsPassedOver() {
    var driver = StateDriver()
    let (holder, silent, waiter) = (driver.open(1), driver.open(2), driver.open(3))
    driver.ask(holder, .lock("l", ttl: 5_000))
    let (one, two) = (driver.next(silent), driver.next(waiter))
    driver.again(one, .lock("l", ttl: 3_000))
    driver.again(two, .lock("l", ttl: 8_000))
    driver.wait(5_000)
    #expect(driver.notice(one) == .lost)
    #expect(driver.notice(two)?.token == 2)
  }

  @Test func livesAreBounded() {
    var driver = StateDriver()
    let session = driver.open(1)
    driver.ask(session, .lock("short", ttl: 0))
    driver.ask(session, .lock("long", ttl: .max))
    #expect(driver.state.nextExpiry == 1_000)
    driver.wait(3_599_999)
    #expect(driver.state.lock("short") == nil)
    #expect(driver.state.lock("long") != nil)
    driver.wait(1)
    #expect(driver.state.lock("long") == nil)
  }

  @Test func aSessionLivesAsLongAsWhatItHoldsAndGivesBackTheRest() throws {
    var driver = StateDriver()
    let (holder, waiter) = (driver.open(1), driver.open(2))
    driver.ask(holder, .lock("l", ttl: 1_200_000))
    let request = driver.next(waiter)
    driver.again(request, .lock("l", ttl: 900_000))
    driver.wait(899_999)
    #expect(driver.state.sessionCount == 2)
    driver.wait(1)
    // It stood in line, and is gone.
    #expect(driver.state.sessionCount == 1)
    #expect(driver.notice(request) == .lost)
    #expect(driver.state.lock("l")?.waiting == 0)
    #expect(driver.state.nextExpiry == 1_200_000)
    driver.wait(300_000)
    #expect(driver.state.sessionCount == 0)
    #expect(driver.state.nextExpiry == nil)
  }

  @Test func givingBackALongLockBringsTheEndOfTheSessionNearer() throws {
    var driver = StateDriver()
    let (holder, waiter) = (driver.open(1), driver.open(2))
    let token = driver.ask(holder, .lock("l", ttl: 3_600_000)).token ?? 0
    let request = driver.next(waiter)
    driver.again(request, .lock("l", ttl: 3_600_000))
    driver.wait(1_000_000)
    driver.ask(holder, .settle(request))
    driver.ask(holder, .release(lock: "l", token: token))
    var copy = try QuorumState(encoded: driver.state.encoded())
    #expect(copy.nextExpiry == 600_000)
    #expect(driver.state.nextExpiry == 600_000)
    driver.wait(1)
    _ = copy.apply(QuorumBatch(time: driver.state.time, commands: []), index: driver.index)
    #expect(driver.state.sessionCount == 1)
    #expect(copy.encoded() == driver.state.encoded())
  }

  @Test func whoClosesGivesAllBackAndLeavesAllLines() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    driver.ask(session, .lock("a"))
    driver.ask(other, .lock("b"))
    let (own, others) = (driver.next(session), driver.next(other))
    driver.again(own, .lock("b"))
    driver.again(others, .lock("a"))
    #expect(driver.ask(session, .closeSession).isCommitted)
    #expect(driver.notice(own) == .lost)
    #expect(driver.notice(others)?.token == 3)
    #expect(driver.state.locks.map(\.holder) == [other, other])
    #expect(driver.state.locks.map(\.waiting) == [0, 0])
    #expect(driver.state.outcome(of: own) == .lost)
  }

  @Test func whoLeavesTheLineIsToldSo() {
    var driver = StateDriver()
    let (holder, waiter) = (driver.open(1), driver.open(2))
    driver.ask(holder, .lock("l"))
    let request = driver.next(waiter)
    driver.again(request, .lock("l"))
    #expect(driver.ask(waiter, .release(lock: "l", token: 0)).isCommitted)
    #expect(driver.notice(request) == .lost)
    #expect(driver.again(request, .lock("l")) == .lost)
    #expect(driver.state.lock("l")?.waiting == 0)
  }

  @Test func namesThatLookTheSameAreDifferentLocks() throws {
    var driver = StateDriver()
    let session = driver.open(1)
    #expect(driver.ask(session, .lock("caf\u{E9}")).token == 1)
    #expect(driver.ask(session, .lock("cafe\u{301}")).token == 2)
    #expect(driver.state.locks.map { Array($0.name.utf8) } == [Array("cafe\u{301}".utf8), Array("caf\u{E9}".utf8)])
    #expect(try QuorumState(encoded: driver.state.encoded()).locks.count == 2)
  }

  @Test func thereAreLimits() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    #expect(driver.ask(session, .lock("")) == .rejected(.limit(.lockNameBytes)))
    #expect(driver.ask(session, .lock(String(repeating: "x", count: 257))) == .rejected(.limit(.lockNameBytes)))
    let note = String(repeating: "x", count: 257)
    #expect(driver.ask(session, .lock("l", note: note)) == .rejected(.limit(.noteBytes)))
    for number in 0..<1_024 { #expect(driver.ask(session, .lock("l\(number)")).token != nil) }
    #expect(driver.ask(session, .lock("more")) == .rejected(.limit(.locksPerSession)))
    #expect(driver.ask(session, .lock("l0", waits: false)) == .rejected(.limit(.locksPerSession)))
    for _ in 0..<1_024 { driver.ask(other, .lock("l0")) }
    #expect(driver.state.lock("l0")?.waiting == 1_024)
    #expect(driver.ask(other, .lock("l0")) == .rejected(.limit(.waiters)))
  }

  @Test func deadlinesOfWhatIsOverDoNotGather() {
    var driver = StateDriver()
    let session = driver.open(1)
    for _ in 0..<5_000 {
      let request = driver.next(session)
      let token = driver.again(request, oldest: request.number, .lock("l", ttl: 3_600_000)).token ?? 0
      driver.ask(session, .release(lock: "l", token: token))
    }
    #expect(driver.state.deadlineCount <= 2 * 2 + QuorumState.needlessDeadlines)
    #expect(driver.state.nextExpiry == 600_000)
  }
}
