import GlueSimulation

extension SimulateScale {
  /// What it costs to hold messages of publishers that are gone, and to tell of them.
  func measureHistory() throws -> [Violation] {
    var options = HistoryScaleOptions()
    options.topics = held
    options.lives = lives
    options.seed = seed
    let scale = try HistoryScale(options)
    var violations: [Violation] = []
    func tell(_ what: String, _ result: HistoryScaleResult) {
      let time = result.seconds.map { "after \(Format.fixed($0, 2)) s" } ?? "never"
      Console.line(
        "\(held) topics, \(lives) lives, \(what): complete \(time), \(result.datagrams) datagrams, \(result.bytes) bytes"
      )
      violations += result.violations
    }
    tell("two who have all meet again", scale.meetAgain())
    tell("a newcomer who wants nothing from before", try scale.join(history: .none))
    tell("a newcomer who wants all", try scale.join(history: .all))
    // What the others need meanwhile they have got for the first one: what another one takes is its own.
    let before = residentKibibytes()
    tell("another one", try scale.join(history: .all))
    Console.line(
      "\(held) topics, \(lives) lives: who has all holds \(scale.streams) streams, which take about "
        + "\(residentKibibytes() - before) KiB and are charged with \(scale.chargedBytes / 1_024)")
    return violations
  }
}
