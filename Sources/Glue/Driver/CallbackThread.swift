import DequeModule
import GlueCore
import Synchronization

/// A thread that was relieved of input and output, being stuck in a callback. It works off that subscription's backlog, then
/// those of subscriptions that wait for a thread, and ends when there is none.
final class CallbackThread: Sendable {
  /// A detached subscription, and what waits for it.
  struct Duty: Sendable {
    let sink: CallbackSink
    let backlog: DeliveryQueue
    let thread: CallbackThread
  }

  /// What a thread that was relieved goes on with.
  struct Relief: Sendable {
    let thread: CallbackThread
    /// `nil` if it was stuck in a job of a task.
    let duty: Duty?
  }

  /// The call that is going on.
  struct Call: Sendable {
    /// In the place of a filter, for a job of a task.
    static let jobFilter = ""

    let filter: String
    let since: Timestamp
    /// Whether it was found to take long, and whether there was an event about that.
    var isNoticed = false
    var isTold = false
  }

  private let call: Mutex<Call?>

  init(_ call: Call) { self.call = Mutex(call) }

  func begin(_ filter: String, at now: Timestamp) { call.withLock { $0 = Call(filter: filter, since: now) } }

  func end() -> Call? { call.withLock { $0.take() } }

  /// Whether a call is going on that may turn out to take long.
  var isUnnoticed: Bool { call.withLock { $0.map { !$0.isNoticed } ?? false } }

  /// The call that is going on, once, if it takes longer than that.
  ///
  /// - Parameter tells: Whether there will be an event about it.
  func noticeOverdue(_ threshold: Nanoseconds, at now: Timestamp, tells: (Call) -> Bool) -> Call? {
    call.withLock { call in
      guard let running = call, !running.isNoticed, now.since(running.since) > threshold else { return nil }
      call?.isNoticed = true
      call?.isTold = tells(running)
      return call
    }
  }
}

/// The callback threads of an endpoint, and the subscriptions that wait for one.
struct CallbackThreads {
  private(set) var running: [CallbackThread] = []
  private var waiting: Deque<(sink: CallbackSink, backlog: DeliveryQueue)> = []

  mutating func add(_ thread: CallbackThread) { running.append(thread) }

  /// Puts a subscription in line. Its backlog is not empty: an empty one would be ended at once.
  mutating func wait(_ sink: CallbackSink, _ backlog: DeliveryQueue) { waiting.append((sink, backlog)) }

  /// Takes a subscription that is over out of line.
  ///
  /// - Returns: What waited for it.
  mutating func leave(_ sink: CallbackSink) -> DeliveryQueue? {
    waiting.firstIndex { $0.sink === sink }.map { waiting.remove(at: $0).backlog }
  }

  /// What the thread is to do next; `nil`: it ends.
  mutating func nextDuty(of thread: CallbackThread) -> CallbackThread.Duty? {
    if let (sink, backlog) = waiting.popFirst() {
      return CallbackThread.Duty(sink: sink, backlog: backlog, thread: thread)
    }
    running.removeAll { $0 === thread }
    return nil
  }

  /// Puts a subscription back in line unless it is over, behind those that wait, and takes the first of them; `nil`: none waits.
  mutating func exchange(_ duty: CallbackThread.Duty) -> CallbackThread.Duty? {
    guard let (sink, backlog) = waiting.popFirst() else { return nil }
    if !duty.sink.isCancelled { waiting.append((duty.sink, duty.backlog)) }
    return CallbackThread.Duty(sink: sink, backlog: backlog, thread: duty.thread)
  }

  /// The endpoint is closed: threads end as soon as their callbacks return.
  mutating func abandon() { waiting = [] }
}
