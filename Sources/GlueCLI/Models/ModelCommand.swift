import ArgumentParser
import Foundation
import Glue
import GlueStore

/// `glue model`: reads and changes shared state.
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Read, change and watch state that endpoints share.",
    usage: """
      glue model NAME ACTION [PATH] [VALUE] [OPTIONS]
      glue model [OPTIONS]
      """,
    discussion: """
      A model is a document of which every endpoint that opens it has a replica; docs/model.md tells what it promises. Without a name: which \
      models there are, and who has them open. Actions:

        get [PATH]                what is there, with everything below
        set PATH VALUE            replaces it; an object as VALUE becomes a map
        delete PATH               removes it, with everything below
        increment PATH [NUMBER]   adds to a counter, by default 1
        add PATH VALUE            adds an element to a set
        remove PATH VALUE         removes an element from a set
        conflicts [PATH]          what was written concurrently, by whom and when
        resolve PATH VALUE        ends a conflict by a value
        keep PATH KIND            ends one of several kinds: the value, counter, set or map stays
        watch [PATH]              what is there, and every change from then on
        status                    replicas, keys, and a hash that is equal where everything is
        apply                     any of these but watch, one on each line of standard input, by one replica;
                                  what stands between the lines begin and commit is one transaction

      VALUE is JSON, or else taken as a text: 21.5 is a number, on is a text; with --text always a text. An action waits until it has what other replicas have, \
      at most --wait; one that changes something ends with status 0 when every replica that is there has the change, or the store.
      Without a store and without another replica nothing would be left of a change, so it is refused.
      """)

  @Argument(help: "Which model: a topic name.")
  var name: String?

  @Argument(help: "What to do.")
  var action: ModelAction.Kind?

  // Also -3, which would be an option otherwise.
  @Argument(parsing: .allUnrecognized, help: "What the action needs.")
  var words: [String] = []

  @Option(help: "Keep this replica in a file in this directory, and go on with it the next time.")
  var store: String?

  @Flag(help: "Show JSON.")
  var json = false

  @Flag(help: "VALUE is a text as it stands, also if it looks like JSON.")
  var text = false

  @Flag(help: "Where several values were written concurrently, show all of them.")
  var keepAll = false

  @Option(help: "Wait so long for other replicas. (default: 2s)", transform: parseDuration)
  var wait: Duration = .seconds(2)

  @Option(help: "End watch, or apply after its input, after this time.", transform: parseDuration)
  var duration: Duration?

  @Option(help: ArgumentHelp("Take the clock to be wrong by this.", visibility: .hidden), transform: parseClockOffset)
  var clockOffset: Duration = .zero

  @OptionGroup var options: EndpointOptions

  func validate() throws {
    if store?.isEmpty == true { throw ValidationError("--store takes the name of a directory") }
    guard let name else { return }
    try checkModelName(name)
    guard let action else {
      let actions = ModelAction.Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("what to do with the model is missing; expected one of \(actions)")
    }
    if action != .apply { _ = try ModelAction(action, words, asText: text) }
    if action == .apply, !words.isEmpty { throw ValidationError("apply reads what to do from standard input") }
    if duration != nil, action != .watch, action != .apply {
      throw ValidationError("--duration is for watch and apply; for others there is --wait")
    }
  }

  func run() async throws {
    guard let name, let action else { return try await list() }
    let file = try store.map { try SQLiteModelStore(directory: $0, model: name) }
    var settings = Model.Settings()
    settings.store = file
    settings.clockOffset = clockOffset
    if keepAll { settings.policies.set(.keepAll, under: .root) }
    let isLasting = action == .watch || action == .apply
    settings.replica.isTransient = !isLasting
    let endpoint = try await options.makeEndpoint()
    let session = ModelSession(
      model: try await endpoint.model(name, settings), isStored: file != nil, json: json, asText: text)
    try await GlueCLI.run(
      endpoint, quiet: options.quiet || !isLasting, for: action == .watch ? duration : nil,
      { [self] _ in
        switch action {
        case .watch: try await session.watch(words.first, waiting: wait)
        case .apply:
          try await session.apply(waiting: wait)
          if let duration { try await Task.sleep(for: duration) }
          try await session.settle()
        default: try await session.perform(try ModelAction(action, words, asText: text), waiting: wait)
        }
      },
      conclude: { _, signal in
        session.model.close()
        if let signal, !isLasting || session.wasInterrupted(signal) { throw ExitCode(signal.status) }
      })
    try file?.close()
  }

  /// Which models there are.
  private func list() async throws {
    let (json, wait) = (json, wait)
    let found = Shared<[ModelOverview]?>(nil)
    try await GlueCLI.run(
      try await options.makeEndpoint(), quiet: true,
      { endpoint in
        let models = try await endpoint.models(meetingFor: wait)
        found.withLock { $0 = models }
      },
      conclude: { _, signal in
        if let signal { throw ExitCode(signal.status) }
        guard let models = found.value else { return }
        for model in models { try Console.tryLine(json ? ModelText.json(model) : ModelText.line(model)) }
        if models.isEmpty { Console.error("glue: nobody has a model open, or nobody answered within \(wait)") }
      })
  }
}

/// A span with a sign, as in `-1h`; or `1970`, where the clock of a host starts that has no battery for it.
func parseClockOffset(_ text: String) throws -> Duration {
  if text == "1970" { return .seconds(-Date.now.timeIntervalSince1970) }
  if text.hasPrefix("-") { return .zero - (try parseDuration(String(text.dropFirst()))) }
  return try parseDuration(text)
}
