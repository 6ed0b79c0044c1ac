import GlueCore

/// What is going to happen, the earliest first; at equal times in the order in which it was scheduled. A binary heap of
/// plain numbers; the events themselves lie still beside it.
package struct EventQueue<Event> {
  private struct Entry {
    var time: UInt64
    var number: UInt64
    var place: Int
  }

  private var heap: [Entry] = []
  private var events: [Event?] = []
  private var free: [Int] = []
  private var scheduled: UInt64 = 0

  /// An empty queue.
  package init() {}

  /// How many events wait.
  package var count: Int { heap.count }
  /// The time of the earliest event.
  package var nextTime: Timestamp? { heap.first.map { Timestamp(nanoseconds: $0.time) } }

  /// Adds an event.
  package mutating func schedule(_ event: Event, at time: Timestamp) {
    scheduled += 1
    let place: Int
    if let old = free.popLast() {
      place = old
      events[place] = event
    } else {
      place = events.count
      events.append(event)
    }
    heap.append(Entry(time: time.nanoseconds, number: scheduled, place: place))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(child, parent) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the earliest event.
  package mutating func popFirst() -> (time: Timestamp, event: Event)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    var event: Event?
    swap(&event, &events[first.place])
    free.append(first.place)
    return (Timestamp(nanoseconds: first.time), event!)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, isBefore(left, least) { least = left }
      if left + 1 < heap.count, isBefore(left + 1, least) { least = left + 1 }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    heap[a].time == heap[b].time ? heap[a].number < heap[b].number : heap[a].time < heap[b].time
  }
}
