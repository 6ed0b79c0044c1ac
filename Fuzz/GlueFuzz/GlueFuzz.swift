import ArgumentParser

/// Hostile input against the core, models and quorum models, from a seed. See Fuzz/README.md.
@main
struct GlueFuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "GlueFuzz", abstract: "Feeds the core, models and quorum models with hostile input, from a seed.",
    subcommands: [
      Decoder.self, Core.self, ModelDecoder.self, Replica.self, QuorumDecoder.self, QuorumLog.self, Quorum.self,
    ])
}

/// The options that all targets share.
struct RunOptions: ParsableArguments {
  @Option(help: "How long to run.")
  var seconds: Double = 60
  @Option(help: "The seed of all inputs; random if it is not given.")
  var seed: UInt64 = .random(in: 0 ... .max)
  @Option(help: "The iteration to begin with.")
  var from: UInt64 = 0
  @Option(help: "The number of executions, instead of a time.")
  var count: UInt64?
  @Option(help: "Runs the input that this file holds, and nothing else.")
  var replay: String?
  @Option(help: "The directory for the input that fails.")
  var artifacts: String = "fuzz-artifacts"
  @Option(help: "The vectors to begin from.")
  var corpus: String = Corpus.defaultPath
}

struct Decoder: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decoder", abstract: "Every decoder, with random bytes and damaged vectors.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: DecoderTarget(corpus: try Corpus(path: options.corpus)), options: options)
    try runner.run()
  }
}

struct Core: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "core", abstract: "Endpoint machines, with scripts of operations and a hostile network.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: CoreTarget(corpus: try Corpus(path: options.corpus)), options: options)
    try runner.run()
  }
}

struct ModelDecoder: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model-decoder", abstract: "Every decoder of models, with damaged messages of replicas.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: ModelDecoderTarget(corpus: try Corpus(path: options.corpus)), options: options)
    try runner.run()
  }
}

struct Replica: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replica", abstract: "Replicas of a model, with scripts of operations and damaged messages.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: ReplicaTarget(), options: options)
    try runner.run()
  }
}

struct QuorumDecoder: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quorum-decoder", abstract: "Every decoder of quorum models, with damaged messages and states.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: QuorumDecoderTarget(corpus: try Corpus(path: options.corpus)), options: options)
    try runner.run()
  }
}

struct QuorumLog: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quorum-log", abstract: "The log of a quorum model, with damaged files.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: QuorumLogTarget(), options: options)
    try runner.run()
  }
}

struct Quorum: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quorum", abstract: "Openings of a quorum model, with scripts of operations and damaged messages.")
  @OptionGroup var options: RunOptions

  func run() throws {
    var runner = FuzzRunner(target: QuorumTarget(), options: options)
    try runner.run()
  }
}
