import DequeModule
import Synchronization

/// A first-in, first-out queue between threads that put in and tasks that wait. It has no limit of its own: who puts in
/// decides, under the lock, what has to go.
final class Mailbox<Element: Sendable>: Sendable {
  struct State {
    /// What waits for a reader.
    var elements = Deque<Element>()
    /// The size of what waits, as the owner counts it.
    var byteCount = 0
    /// Nothing more will come.
    var isFinished = false
    /// The tasks that wait, the first first. Empty while there are elements.
    fileprivate var readers = Deque<Reader>()
    fileprivate var lastReader: UInt64 = 0
    /// Readers that were cancelled before they began to wait.
    fileprivate var cancelledEarly: Set<UInt64> = []

    /// Whether an element put in now goes to a waiting task at once.
    var hasReader: Bool { !readers.isEmpty }
  }

  /// An element on its way to the reader.
  struct Taken: Sendable {
    let element: Element
    /// Whether the queue is empty now.
    let wasLast: Bool
  }

  /// What a reader finds.
  private enum Start {
    case done(Taken?)
    case wait(UInt64)
  }

  fileprivate struct Reader {
    let number: UInt64
    let continuation: UnsafeContinuation<Taken?, Never>
  }

  private let state = Mutex(State())

  /// Puts an element in.
  ///
  /// - Parameters:
  ///   - element: What to put in.
  ///   - arrange: Called under the lock where the element has to wait, to put it in the queue and to make room.
  /// - Returns: What `arrange` returned; `nil` if a task got the element, or nobody will.
  @discardableResult
  func put<R>(_ element: Element, arrange: (inout State) -> R) -> R? {
    let (result, reader) = state.withLock { state -> (R?, Reader?) in
      guard !state.isFinished else { return (nil, nil) }
      if let reader = state.readers.popFirst() { return (nil, reader) }
      return (arrange(&state), nil)
    }
    reader?.continuation.resume(returning: Taken(element: element, wasLast: true))
    return result
  }

  /// Waits for the next element; `nil` when the queue has ended or the task is cancelled.
  func next(
    size: @Sendable (Element) -> Int, isolation: isolated (any Actor)? = #isolation
  ) async -> Taken? {
    let start = state.withLock { state -> Start in
      if let taken = state.take(size) { return .done(taken) }
      if state.isFinished { return .done(nil) }
      state.lastReader += 1
      return .wait(state.lastReader)
    }
    guard case .wait(let number) = start else {
      guard case .done(let taken) = start else { return nil }
      return taken
    }
    let taken: Taken? = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let outcome = state.withLock { state -> Start in
          if state.cancelledEarly.remove(number) != nil { return .done(nil) }
          if let taken = state.take(size) { return .done(taken) }
          if state.isFinished { return .done(nil) }
          state.readers.append(Reader(number: number, continuation: continuation))
          return .wait(number)
        }
        if case .done(let taken) = outcome { continuation.resume(returning: taken) }
      }
    } onCancel: {
      let reader = state.withLock { state -> Reader? in
        guard let index = state.readers.firstIndex(where: { $0.number == number }) else {
          // Either it has not begun to wait, or it has got its element and will take this note away itself.
          state.cancelledEarly.insert(number)
          return nil
        }
        return state.readers.remove(at: index)
      }
      reader?.continuation.resume(returning: nil)
    }
    if Task.isCancelled { _ = state.withLock { $0.cancelledEarly.remove(number) } }
    return taken
  }

  /// Takes the next element; if there is none, ends the queue for good, so that who puts in learns that nobody takes.
  func takeOrFinish(size: (Element) -> Int) -> Taken? {
    state.withLock { state in
      if let taken = state.take(size) { return taken }
      state.isFinished = true
      return nil
    }
  }

  /// Ends the queue: waiting tasks get `nil`.
  ///
  /// - Returns: What nobody has taken, if `discarding`; otherwise it can still be taken.
  @discardableResult
  func finish(discarding: Bool) -> Deque<Element> {
    let (rest, readers) = state.withLock { state -> (Deque<Element>, Deque<Reader>) in
      state.isFinished = true
      let readers = state.readers
      state.readers = []
      guard discarding else { return ([], readers) }
      let rest = state.elements
      state.elements = []
      state.byteCount = 0
      return (rest, readers)
    }
    for reader in readers { reader.continuation.resume(returning: nil) }
    return rest
  }
}

extension Mailbox.State {
  fileprivate mutating func take(_ size: (Element) -> Int) -> Mailbox.Taken? {
    guard let element = elements.popFirst() else { return nil }
    byteCount -= size(element)
    return Mailbox.Taken(element: element, wasLast: elements.isEmpty)
  }
}
