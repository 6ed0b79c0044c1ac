import ArgumentParser
import Foundation
import Glue
import GlueQuorum
import GlueStore

/// `glue quorum`: founds, reads and changes state that a majority decides about.
struct QuorumSubcommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quorum",
    abstract: "Found, read, change and watch state that a majority of voters decides about.",
    usage: "glue quorum NAME ACTION [WORDS] [OPTIONS]",
    discussion: """
      A quorum model is a document that never has two truths: what was decided stays, as long as a majority of its voters keeps its storage. \
      docs/quorum.md tells what it promises. Actions:

        init VOTER…               founds it, once and for all, with the endpoints of these IDs, of whom this is one; then as join
        join                      takes part, and shows who leads and who the members are, until a signal comes
        status                    who leads, the members, and how far this endpoint is
        get [PATH]                what is there, with everything below; with --stale without asking anybody
        set PATH VALUE            replaces it; an object as VALUE becomes a map
        delete PATH               removes it, with everything below
        increment PATH [NUMBER]   adds to a counter, by default 1
        cas PATH EXPECTED VALUE   replaces a value if it is what is expected; null is nothing. Status 1 if it was not
        watch [PATH]              what is there, and every change from then on with its place in the log
        lock NAME [-- COMMAND…]   holds a lock until a signal comes, or while the command runs, which finds its token in GLUE_LOCK_TOKEN; \
      ends with status 1 if it is lost
        members [add ID | learner ID | remove ID]
        resolve TOKEN             what became of a change of which nobody knew
        bench                     many clients at once, and how long they wait

      init and join need --store, and GLUE_ENDPOINT_ID: a voter is an endpoint with its storage. Others need neither: they ask. VALUE is JSON, or \
      else taken as a text; with --text always a text. The status is 1 if something was not done, and 3 if nobody knows whether it was: \
      then its token is shown.
      """)

  @Argument(help: "Which quorum model: a topic name.")
  var name: String

  @Argument(help: "What to do.")
  var action: QuorumAction.Kind

  // Also -3, which would be an option otherwise, and what stands after --.
  @Argument(parsing: .allUnrecognized, help: "What the action needs.")
  var words: [String] = []

  @Option(help: "Keep this endpoint's votes and log in this directory.")
  var store: String?

  @Flag(help: "Show JSON.")
  var json = false

  @Flag(help: "VALUE is a text as it stands, also if it looks like JSON.")
  var text = false

  @Option(
    help:
      "Wait so long for a decision. (default: 5s; init, and bench before it begins 15s; members 60s; status, watch and get --stale 3s)",
    transform: parseDuration)
  var timeout: Duration?

  @Flag(
    help: "The network is one quiet one: a leader that is gone is replaced within half a second. Same for all voters.")
  var lan = false

  @Option(
    help:
      "init, join: replace the log by a snapshot when it has so many bytes, and as many as the last one. (default: 8 MiB)",
    transform: parseByteCount)
  var snapshotAfter: Int?

  @Flag(help: "get: what is known here, which may be old.")
  var stale = false

  @Flag(help: "init: end when it is founded.")
  var once = false

  @OptionGroup(title: "Options of bench") var load: QuorumLoadOptions

  @OptionGroup var options: EndpointOptions

  func validate() throws {
    try checkModelName(name)
    if store?.isEmpty == true { throw ValidationError("--store takes the name of a directory") }
    // What stands before -- and looks like an option is none that there is.
    let given = CommandLine.arguments.prefix { $0 != "--" }
    if let word = words.first(where: { $0.hasPrefix("--") && given.contains($0) }) {
      throw ValidationError("there is no option \(word); a word that begins so comes after --")
    }
    _ = try QuorumAction(action, words, asText: text)
    if store == nil, action == .`init` || action == .join {
      throw ValidationError("\(action.rawValue) needs --store, where this endpoint remembers what it voted for")
    }
    if action != .bench, let option = load.given { throw ValidationError("\(option) is for bench") }
    if text, action != .set, action != .cas { throw ValidationError("--text is for set and cas, which take a value") }
    if timeout == .zero, action != .lock {
      throw ValidationError("--timeout must be longer than nothing: a decision takes a round of messages")
    }
    if stale, action != .get { throw ValidationError("--stale is for get") }
    if snapshotAfter != nil, action != .`init`, action != .join {
      throw ValidationError("--snapshot-after is for init and join, which have a log")
    }
    if once, action != .`init` { throw ValidationError("--once is for init") }
  }

  func run() async throws {
    // With another ID the next time its storage would belong to nobody.
    if store != nil, ProcessInfo.processInfo.environment["GLUE_ENDPOINT_ID"] == nil {
      throw CommandFailure("an endpoint with a storage needs the same ID each time: set GLUE_ENDPOINT_ID")
    }
    let action = try QuorumAction(action, words, asText: text)
    let endpoint = try await options.makeEndpoint()
    // From the beginning on: it tells at once what it finds in its storage.
    let events = endpoint.events
    var settings = try Self.settings(name, store: store, isLAN: lan)
    if let snapshotAfter { settings.configuration.compactionBytes = snapshotAfter }
    let quorum = try await endpoint.quorum(name, settings)
    let session = QuorumSession(quorum: quorum, json: json, timeout: timeout, quiet: options.quiet)
    if let recovery = quorum.recovery, options.verbose { Console.error("glue: \(recovery)") }
    let kind = self.action
    let status = Shared<Int32>(0)
    let alarms = endpoint.events
    try await GlueCLI.run(
      endpoint, quiet: true,
      { [self] endpoint in
        let telling = options.quiet || kind == .`init` || kind == .join ? nil : Task { await tell(alarms) }
        defer { telling?.cancel() }
        do {
          let ended = try await session.perform(action, stale: stale, once: once, events, load, as: endpoint.id)
          status.withLock { $0 = ended }
        } catch QuorumFailure.unknown(let token, let missing) {
          try session.showUnknown(token, missing)
          status.withLock { $0 = QuorumSession.unknownStatus }
        } catch let failure as QuorumFailure {
          quorum.close()
          try session.showFailure(failure)
          throw failure
        } catch {
          quorum.close()
          throw error
        }
      },
      conclude: { _, signal in
        quorum.close()
        if status.value != 0 { throw ExitCode(status.value) }
        if let signal, !kind.isLasting { throw ExitCode(signal.status) }
      })
  }

  /// What somebody should look after who reads the output, or a program: also that there is another quorum of this name.
  private func tell(_ events: Events) async {
    for await event in events {
      guard case .quorum(name, let event) = event, event.isAlarming else { continue }
      // A lock's holder says so itself.
      if case .lockLost = event { continue }
      Console.error("glue: \(event)")
    }
  }

  /// How it is opened: as a voter or learner with a directory, else as an observer.
  static func settings(_ name: String, store: String?, isLAN: Bool) throws -> Quorum.Settings {
    var settings = Quorum.Settings()
    if isLAN { settings.configuration = .lan }
    settings.storage = try store.map { try FileLogDirectory(directory: $0, quorum: name) }
    return settings
  }
}
