import ArgumentParser

/// Attacks the endpoints of a network, for the namespace tests. Use it only in a network of your own.
@main
struct GlueFlood: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "GlueFlood", abstract: "Attacks the endpoints of a test network.",
    subcommands: [Strangers.self, Peer.self])
}

/// The options of all attacks.
struct AttackOptions: ParsableArguments {
  @Option(help: "The interface that leads to the victims.")
  var interface = "eth0"
  @Option(help: "How long to attack.")
  var seconds: Double = 5
  @Option(help: "How many endpoints have to be there before it begins.")
  var endpoints = 2
}
