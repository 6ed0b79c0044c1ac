import Testing

@testable import GlueCore

@Suite struct SessionAlarmsTests {
  private func sessions(_ count: Int) -> [Session] {
    let peer = Pair().peer(of: 0)
    return (0..<count).map { _ in
      Session(
        peer: peer, configuration: TransportConfiguration(), topics: TopicsConfiguration(), receiveBufferBytes: 1,
        peerReceiveBufferBytes: 1, at: Timestamp(nanoseconds: 0))
    }
  }

  /// Against a plain list: the earliest noted time of each counts, and nobody is forgotten, or called who was removed.
  @Test(arguments: 0..<8 as Range<UInt64>) func callsEachAtItsEarliestTime(seed: UInt64) {
    var generator = SmallGenerator(state: seed)
    let sessions = sessions(40)
    defer {
      for session in sessions {
        session.control.stream.abandon()
        session.direct.stream.abandon()
      }
    }
    var alarms = SessionAlarms()
    var times = [Timestamp?](repeating: nil, count: sessions.count)
    var now = Timestamp(nanoseconds: 0)
    for _ in 0..<5_000 {
      let index = Int.random(in: sessions.indices, using: &generator)
      switch Int.random(in: 0..<10, using: &generator) {
      case 0:
        alarms.remove(sessions[index])
        times[index] = nil
      case 1, 2:
        now = now + Nanoseconds(UInt64.random(in: 0..<50, using: &generator))
        while let session = alarms.takeDue(at: now) {
          let place = sessions.firstIndex { $0 === session }!
          #expect(times[place].map { $0 <= now } == true)
          times[place] = nil
        }
        #expect(times.allSatisfy { $0.map { $0 > now } ?? true })
      default:
        let time = now + Nanoseconds(UInt64.random(in: 0..<500, using: &generator))
        alarms.set(sessions[index], at: time)
        times[index] = min(times[index] ?? time, time)
      }
      #expect(alarms.next == times.compactMap(\.self).min() ?? .distantFuture)
    }
  }
}
