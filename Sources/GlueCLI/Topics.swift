import ArgumentParser
import Glue

/// `glue topics`: shows what there is on the network.
struct Topics: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the topics: who publishes, wants and holds what.",
    discussion: """
      Joins the network for a moment and asks every endpoint. It subscribes to nothing: no data is sent for it, and nobody counts \
      it as a subscriber. Rates are what publishers say they have published meanwhile. Publishers that are gone are shown \
      as long as somebody holds messages of theirs.

      With --json each topic is an object on a line of its own, and the last line sums up. Ends with status 0 also when there \
      is nothing; what is incomplete is said on stderr, and in the last line.
      """)

  @Argument(help: "Only topics that match this filter; by default all but those that begin with $.")
  var filter = "#"

  @Flag(help: "Show each topic as a JSON object on one line.")
  var json = false

  @Option(help: "How long to look, and to measure rates. (default: 2s)", transform: parseDuration)
  var duration: Duration = .seconds(2)

  @OptionGroup var options: EndpointOptions

  func run() async throws {
    let filter = filter
    let duration = duration
    let endpoint = try await options.makeEndpoint()
    let found = Shared<TopicOverview?>(nil)
    try await GlueCLI.run(
      endpoint, quiet: true,
      { endpoint in
        let overview = try await endpoint.topics(matching: filter, measuringFor: duration)
        found.withLock { $0 = overview }
      },
      conclude: { endpoint, signal in
        if let signal { throw ExitCode(signal.status) }
        guard let overview = found.value else { return }
        let lines =
          json ? TopicReport.jsonLines(overview, seconds: duration.inSeconds) : TopicReport.lines(overview)
        for line in lines { try Console.tryLine(line) }
        for party in overview.incomplete {
          Console.error("glue: \(party) has not told everything; there may be more")
        }
        if overview.peers == 0 { Console.error("glue: nobody answered within \(duration)") }
      })
  }
}
