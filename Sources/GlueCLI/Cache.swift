import ArgumentParser
import Glue
import GlueStore

/// `glue cache`: holds what is published, for those who come later.
struct Cache: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Hold messages, in memory or also on disk, for those who come later.",
    discussion: """
      Gets everything on the topics that match the filter, also what was published before, and holds what the topics' settings \
      let be kept (glue pub --keep), until it expires or --limit is reached; then the oldest goes first. Subscribers that ask \
      for history, or were cut off, get it also when the publisher is gone. With --store everything is written to the disk as \
      well, publishers that wait for it (glue pub --await-stored) are told when it is safe there, and the next start goes on with \
      it. Ends with status 0 after --duration or on SIGINT, SIGTERM or SIGHUP; without --store what it holds is gone then.
      """)

  @Argument(help: "Topic filter: + stands for one level, # at the end for all the rest.")
  var filter: String

  @Option(help: "Store it in this directory as well; it is made if its parent exists. One process at a time uses it.")
  var store: String?

  @Option(help: "Hold at most so many bytes, for example 256MiB. (default: 64MiB)", transform: parseByteCount)
  var limit: Int = TopicsConfiguration().historyBytes

  @Option(help: "End after this time, for example 10m.", transform: parseDuration)
  var duration: Duration?

  @OptionGroup var options: EndpointOptions

  func validate() throws {
    if store?.isEmpty == true { throw ValidationError("--store takes the name of a directory") }
  }

  func run() async throws {
    let limit = limit
    let store = try store.map { directory in try SQLiteStore(directory: directory) }
    let endpoint = try await options.makeEndpoint {
      $0.topics.historyBytes = limit
      $0.store = store
    }
    // What is received is held by the endpoint itself.
    let subscription = try endpoint.subscribe(to: filter, history: .all) { _ in }
    try await GlueCLI.run(
      endpoint, quiet: options.quiet, for: duration,
      { _ in
        // Until it is cancelled.
        for await _ in AsyncStream<Never>.makeStream().stream {}
      },
      // What it holds is written before the endpoint closes, as long as the subscription is there.
      conclude: { _, _ in withExtendedLifetime(subscription) {} })
    try store?.close()
  }
}
