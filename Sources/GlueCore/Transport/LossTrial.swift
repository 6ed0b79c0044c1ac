/// Tells loss that a smaller window prevents from loss that the path has anyway.
///
/// Loss beyond a tenth shrinks the window, sample by sample. If a quarter of it still loses half of what the whole lost, or
/// more, then it is not for what this endpoint sends, and smaller windows would only make everything slower: for a while so
/// much loss counts as usual, and the window is put back.
///
///     calm ── a tenth more than usual is lost ──▶ on trial: the window shrinks
///     on trial ── a sample without ──▶ calm
///     on trial ── a quarter of the window is left ──▶ judged: a round trip later, over some hundred datagrams
///     judged ── a sample without, or half as much is lost ──▶ calm, the loss was congestion
///            └▶ calm, the loss is usual; the window is put back
///
/// With the smallest window there is less to take away, or nothing. What is then lost is not for what this endpoint sends either.
struct LossTrial {
  /// What to do with the window.
  enum Verdict: Equatable {
    case keep
    case shrink
    case putBack(to: Int)
  }

  private struct Tally {
    var datagrams: UInt64 = 0
    var lost: UInt64 = 0
    var perMille: UInt64 { datagrams > 0 ? lost * 1_000 / datagrams : 0 }
  }

  /// Datagrams that are judged together: fewer would often lose a tenth by chance.
  static let sampleDatagrams: UInt64 = 64
  /// Datagrams, sent with what is left of the window, that a trial is decided by. A trial that begins with a small window is
  /// there at once; a single sample, chosen by chance, would then decide it.
  static let judgedDatagrams: UInt64 = 4 * sampleDatagrams
  /// Loss beyond what is usual that is taken for congestion, in a thousand.
  static let tolerablePerMille: UInt64 = 100
  /// More than this is never usual, in a thousand.
  static let largestUsualPerMille: UInt64 = 500
  /// The window at the end of a trial, as a divisor of the one at its beginning.
  static let endDivisor = 4
  /// How long loss counts as usual before it is on trial again.
  static let usualFor = Nanoseconds.seconds(10)

  private var sample = Tally()
  private var trial: (window: Int, perMille: UInt64, judgedFrom: Timestamp?, judged: Tally)?
  private var usual: (perMille: UInt64, until: Timestamp) = (0, Timestamp(nanoseconds: 0))

  var isOnTrial: Bool { trial != nil }

  /// Takes what became of datagrams that were sent with a window of so many bytes.
  mutating func note(
    datagrams: Int, lost: UInt64, window: Int, minimumWindow: Int, roundTrip: Nanoseconds, at now: Timestamp
  ) -> Verdict {
    if let from = trial?.judgedFrom, now < from { return .keep }
    sample.datagrams += UInt64(datagrams)
    sample.lost += min(lost, UInt64(datagrams))
    guard sample.datagrams >= Self.sampleDatagrams else { return .keep }
    defer { sample = Tally() }
    let tolerable = (now < usual.until ? usual.perMille : 0) + Self.tolerablePerMille
    guard sample.perMille > tolerable else {
      trial = nil
      return .keep
    }
    guard let trial else {
      self.trial = (window, sample.perMille, nil, Tally())
      return .shrink
    }
    guard window <= max(trial.window / Self.endDivisor, minimumWindow) else { return .shrink }
    guard trial.judgedFrom != nil else {
      // What becomes known until then was sent with larger windows.
      self.trial?.judgedFrom = now + roundTrip
      return .keep
    }
    let judged = Tally(
      datagrams: trial.judged.datagrams + sample.datagrams, lost: trial.judged.lost + sample.lost)
    self.trial?.judged = judged
    guard judged.datagrams >= Self.judgedDatagrams else { return .keep }
    self.trial = nil
    let perMille = judged.perMille
    guard perMille * 2 >= trial.perMille, perMille <= Self.largestUsualPerMille else { return .shrink }
    usual = (perMille, now + Self.usualFor)
    return .putBack(to: trial.window)
  }
}
