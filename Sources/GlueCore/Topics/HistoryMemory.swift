/// The memory that is kept of what others publish, in all streams together.
final class HistoryMemory {
  let limitBytes: Int
  var bytes = 0
  init(limitBytes: Int) { self.limitBytes = limitBytes }
}
