/// When which session needs time: a binary heap, the earliest first, in which each session knows its place.
///
/// With a thousand peers a wakeup must not visit them all. A session that needs time later than noted stays where it is, and
/// is found to have nothing to do when its time comes: so a lone message, which mostly puts off what was due, costs one
/// comparison.
struct SessionAlarms {
  private struct Entry {
    var time: Timestamp
    var session: Session
  }
  private var heap: [Entry] = []

  /// The earliest time; in the distant future if there is none. By index, for `first` would hold on to the session.
  var next: Timestamp { heap.isEmpty ? .distantFuture : heap[0].time }

  /// Makes sure that a session gets time then, or before.
  mutating func set(_ session: Session, at time: Timestamp) {
    guard time < session.alarmAt else { return }
    session.alarmAt = time
    if session.alarmPlace < 0 {
      session.alarmPlace = heap.count
      heap.append(Entry(time: time, session: session))
    } else {
      heap[session.alarmPlace].time = time
    }
    rise(session.alarmPlace)
  }

  /// Takes a session whose time has come; it has none afterwards.
  mutating func takeDue(at now: Timestamp) -> Session? {
    guard next <= now, let session = heap.first?.session else { return nil }
    remove(session)
    return session
  }

  /// Forgets a session.
  mutating func remove(_ session: Session) {
    let place = session.alarmPlace
    guard place >= 0 else { return }
    session.alarmPlace = -1
    session.alarmAt = .distantFuture
    let last = heap.removeLast()
    guard place < heap.count else { return }
    heap[place] = last
    last.session.alarmPlace = place
    rise(place)
    sink(last.session.alarmPlace)
  }

  private mutating func rise(_ place: Int) {
    var place = place
    while place > 0, heap[place].time < heap[(place - 1) / 2].time {
      swap(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ place: Int) {
    var place = place
    while true {
      let left = 2 * place + 1
      guard left < heap.count else { return }
      let least = left + 1 < heap.count && heap[left + 1].time < heap[left].time ? left + 1 : left
      guard heap[least].time < heap[place].time else { return }
      swap(place, least)
      place = least
    }
  }

  private mutating func swap(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    heap[a].session.alarmPlace = a
    heap[b].session.alarmPlace = b
  }
}
