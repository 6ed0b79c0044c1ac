import ArgumentParser
import Testing

@testable import GlueCLI

@Suite struct CommandTests {
  @Test func theVersionIsTheChangelogs() throws {
    let error = try #require(throws: (any Error).self) { _ = try GlueCommand.parseAsRoot(["--version"]) }
    #expect(GlueCommand.exitCode(for: error) == .success)
    #expect(GlueCommand.message(for: error) == "glue \(glueVersion)")
  }

  @Test(arguments: [["nosuch"], ["help", "nosuch"], ["nosuch", "--help"]])
  func unknownCommands(_ words: [String]) {
    #expect(
      GlueCommand.complaint(about: words[...])
        == "there is no command nosuch; expected one of sub, pub, cache, peers, topics, model, quorum, doctor, key, demo, bench, check-history, simulate"
    )
  }

  @Test(arguments: [["bench", "nosuch"], ["help", "bench", "nosuch"]])
  func unknownBenchmarks(_ words: [String]) {
    #expect(
      GlueCommand.complaint(about: words[...])
        == "there is no command nosuch; expected one of throughput, latency, stuck, model, core")
  }

  @Test(arguments: [
    [], ["help"], ["help", "help"], ["help", "simulate"], ["help", "bench", "latency"], ["--help"], ["--version"],
    ["sub", "nosuch"], ["pub", "a", "b"], ["bench"], ["bench", "latency"], ["bench", "echo"],
    ["simulate", "--seed", "1"],
  ])
  func knownCommands(_ words: [String]) {
    #expect(GlueCommand.complaint(about: words[...]) == nil)
  }

  @Test(arguments: [
    (["sub"], "glue help sub"), (["pub", "t", "sub"], "glue help pub"),
    (["bench", "latency", "--size"], "glue help bench latency"),
    (["bench", "nosuch"], "glue help bench"), (["help", "bench", "nosuch"], "glue help bench"),
    (["nosuch"], "glue help"),
    ([], "glue help"),
  ])
  func mistakesPointToTheHelpOfTheirCommand(_ words: [String], _ help: String) {
    #expect(GlueCommand.help(for: words[...]) == help)
  }

  @Test func eachWayToSimulateHasASeedOfItsOwn() throws {
    #expect(try (GlueCommand.parseAsRoot(["simulate", "scale", "--seed", "7"]) as? SimulateScale)?.seed == 7)
    #expect(try (GlueCommand.parseAsRoot(["simulate", "--seed", "7", "--seeds", "9"]) as? SimulateSeeds)?.seed == 7)
  }

  @Test func fingerprintsAreShownOnRequestOnly() throws {
    #expect(throws: (any Error).self) { _ = try GlueCommand.parseAsRoot(["key", "network.key"]) }
    #expect(try (GlueCommand.parseAsRoot(["key", "--fingerprint", "network.key"]) as? Key)?.file == "network.key")
  }

  /// The parser shows the defaults of plain options only; those of the others are in their texts.
  @Test func theHelpTellsTheDefaults() {
    for (help, defaults) in [
      (DemoMessages.helpMessage(columns: 500), ["3", "64KiB", "20", "10s"]), (Peers.helpMessage(columns: 500), ["3s"]),
      (Topics.helpMessage(columns: 500), ["#", "2s"]),
      (Pub.helpMessage(columns: 500), ["10s", "expiry"]), (Sub.helpMessage(columns: 500), ["retained"]),
      (BenchLatency.helpMessage(columns: 500), ["64", "10000", "3"]),
      (BenchThroughput.helpMessage(columns: 500), ["1", "64,1KiB,64KiB", "3s", "1", "all", "1", "3"]),
    ] {
      #expect(help.matches(of: /\(default: (.*?)\)/).map { String($0.1) } == defaults)
    }
  }
}
