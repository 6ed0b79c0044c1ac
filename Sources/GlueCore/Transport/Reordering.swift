/// How late datagrams come that others have overtaken. Now and then that happens everywhere, and a needless repetition is
/// cheaper than patience. But where several paths of different length carry a session it happens all the time, and three newer
/// datagrams say nothing about a loss.
struct Reordering {
  /// Datagrams that are judged together.
  static let sampleDatagrams = 64
  /// From this many late ones of them on it is taken for usual.
  static let usualDatagrams = 6
  /// When numbers came is noted so often at most; lateness is known as exactly.
  static let resolution = Nanoseconds.microseconds(500)
  /// Notes that are kept. They reach back further where less comes.
  static let maximumNotes = 64
  /// What comes later than this says nothing about what else is missing: waiting longer would make a loss a standstill.
  static let maximumLateness = resolution * UInt64(maximumNotes)

  /// How late datagrams were lately, the latest of them, up to ``maximumLateness``; zero where it is not usual.
  private(set) var lateness = Nanoseconds.zero

  private var datagrams = 0
  private var late = 0
  private var latest = Nanoseconds.zero
  /// New highest numbers and when they came, the last one at `newest`. Empty until a first datagram was late: most never are.
  private var notes: [(number: UInt64, at: Timestamp)] = []
  private var newest = 0

  /// Whether newer datagrams say nothing about what is missing.
  var isUsual: Bool { lateness > .zero }

  /// Takes note of a datagram that arrived, and whether it has the highest number so far.
  mutating func note(_ number: UInt64, isHighest: Bool, at now: Timestamp) {
    if !isHighest {
      late += 1
      latest = min(max(latest, age(of: number, at: now) + Self.resolution), Self.maximumLateness)
      if notes.isEmpty { notes.append((number, now)) }
    } else if !notes.isEmpty, now.since(notes[newest].at) >= Self.resolution {
      if notes.count < Self.maximumNotes {
        newest = notes.count
        notes.append((number, now))
      } else {
        newest = (newest + 1) % Self.maximumNotes
        notes[newest] = (number, now)
      }
    }
    datagrams += 1
    guard datagrams >= Self.sampleDatagrams else { return }
    lateness = late >= Self.usualDatagrams ? latest : .zero
    (datagrams, late, latest) = (0, 0, .zero)
  }

  /// How long ago a higher number than this one was noted first.
  private func age(of number: UInt64, at now: Timestamp) -> Nanoseconds {
    var oldest = Nanoseconds.zero
    for note in notes where note.number > number { oldest = max(oldest, Nanoseconds(now.since(note.at).count)) }
    return oldest
  }
}
