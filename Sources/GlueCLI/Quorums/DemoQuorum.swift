import ArgumentParser
import Foundation
import Glue
import GlueQuorum
import Logging

/// `glue demo quorum`: voters are killed, and what was decided stays.
struct DemoQuorum: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quorum",
    abstract: "Watch a quorum survive the loss of its leader, refuse to decide without a majority, and come back.",
    discussion: """
      Three voters, each a process of its own with a storage, on loopback and in a network of their own. The leader is killed with \
      kill -9, then a second voter, then both come back. The status is 0 only if nothing that was decided got lost, \
      nothing was decided without a majority, and it was said who is missing.
      """)

  /// Starting, meeting and electing take seconds at most.
  static let patience = Duration.seconds(20)
  /// How long a write waits that cannot be decided. Longer than an endpoint takes to miss one that said no goodbye.
  private static let hopelessTimeout = Duration.seconds(5)
  /// How often such a write is tried until all that are missing are missed.
  private static let attempts = 4

  func run() async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glue-demo-quorum-\(ProcessInfo.processInfo.processIdentifier)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let voters = DemoVoters(directory: directory.path)
    let isComplete = Shared(false)
    let work: Result<StopSignal?, any Error>
    do {
      work = .success(
        try await untilStopped {
          try await Self.play(voters)
          isComplete.withLock { $0 = true }
        })
    } catch {
      work = .failure(error)
    }
    await voters.end()
    do {
      if let signal = try work.get() { throw ExitCode(signal.status) }
    } catch {
      if !(error is ExitCode) { for line in voters.complaints { Console.error(line) } }
      throw error
    }
    guard isComplete.value else { throw CommandFailure("the demo was not played to its end") }
  }

  private static func play(_ voters: DemoVoters) async throws {
    Console.line("Three voters, each a process of its own on loopback, found the quorum model “\(DemoVoters.model)”.")
    let all = DemoVoters.ids
    try voters.start(all[1], "join")
    try voters.start(all[2], "join")
    try voters.start(all[0], "init", founding: all)
    let endpoint = try await voters.makeClient()
    try await endpoint.start()
    let quorum = try await endpoint.quorum(
      DemoVoters.model, try QuorumSubcommand.settings(DemoVoters.model, store: nil, isLAN: true))
    do {
      try await play(voters, quorum)
    } catch {
      quorum.close()
      await endpoint.shutdown(timeout: .zero)
      throw error
    }
    quorum.close()
    await endpoint.shutdown(timeout: .zero)
  }

  private static func play(_ voters: DemoVoters, _ quorum: Quorum) async throws {
    let first = try await quorum.awaitLeader(timeout: patience)
    try await quorum.set("alarm/armed", to: true, timeout: patience)
    let before = ContinuousClock.now
    try await quorum.set("alarm/by", to: "Ada", timeout: patience)
    Console.line(
      "Voter \(first) leads. An endpoint without a vote writes alarm/armed and alarm/by; the second one takes "
        + "\(Format.milliseconds(ContinuousClock.now - before)).")

    Console.line("\nThe leader, \(first), is killed (kill -9), and the endpoint writes again.")
    let killed = ContinuousClock.now
    voters.kill(first)
    try await quorum.set("alarm/by", to: "Bob", timeout: patience)
    let took = ContinuousClock.now - killed
    let second = try await quorum.awaitLeader(timeout: patience)
    guard second != first else { throw CommandFailure("the voter that was killed still leads") }
    Console.line("Voter \(second) leads now. What was written is decided \(Format.milliseconds(took)) after the kill.")

    guard let victim = DemoVoters.ids.first(where: { $0 != first && $0 != second }) else { return }
    Console.line("\nVoter \(victim) is killed too: of three one is left, which is no majority.")
    voters.kill(victim)
    let tokens = try await writeInVain(quorum, missing: [first, victim].sorted())

    Console.line("\nBoth are started again, with their storages.")
    let restarted = ContinuousClock.now
    try voters.start(first, "join")
    try voters.start(victim, "join")
    let entry = try await quorum.read("alarm", timeout: patience)
    Console.line("Something can be decided again \(Format.milliseconds(ContinuousClock.now - restarted)) later.")
    var isWritten = false
    for token in tokens {
      if try await quorum.resolve(token, timeout: patience) != nil { isWritten = true }
    }
    guard let entry else { throw CommandFailure("what was decided is lost: there is nothing at alarm") }
    Console.line("What is there: \(ModelText.json(entry))")
    let armed = try await quorum.read("alarm/armed", timeout: patience)?.bool
    let by = try await quorum.read("alarm/by", timeout: patience)?.string
    let (expected, what) =
      tokens.isEmpty
      ? ("Bob", "was not decided")
      : (isWritten ? "Eve" : "Bob", isWritten ? "was decided when a majority was back" : "was decided not to happen")
    Console.line("The write of which nobody could say what became of it \(what).")
    guard armed == true, by == expected else {
      throw CommandFailure("what was decided is lost: alarm/armed should be true, and alarm/by \(expected)")
    }
    try await quorum.set("alarm/armed", to: false, timeout: patience)
    Console.line("Everything that was decided is there, and the endpoint writes again.")
  }

  /// Writes without a majority: it has to end with who is missing. Returns by what to ask what became of it.
  private static func writeInVain(_ quorum: Quorum, missing: [EndpointID]) async throws -> [QuorumToken] {
    var tokens: [QuorumToken] = []
    for _ in 1...attempts {
      let began = ContinuousClock.now
      do {
        try await quorum.set("alarm/by", to: "Eve", timeout: hopelessTimeout)
        throw CommandFailure("something was decided without a majority")
      } catch let failure as QuorumFailure {
        let named: [EndpointID]
        switch failure {
        case .unknown(let token, let absent):
          tokens.append(token)
          named = absent
        case .notDone(.noQuorum(let absent)): named = absent
        default: throw failure
        }
        Console.line("A write ends after \(Format.milliseconds(ContinuousClock.now - began)): \(failure)")
        if named.sorted() == missing { return tokens }
      }
    }
    throw CommandFailure("it was not said that \(missing.map { "\($0)" }.joined(separator: " and ")) are missing")
  }
}

/// The voters of the demo.
final class DemoVoters: Sendable {
  static let model = "vault"
  static let ids: [EndpointID] = [1, 2, 3].map { EndpointID($0) }
  /// So many lines of what a voter says are kept, in case something goes wrong.
  private static let keptLines = 100

  private let directory: String
  private let network = PrivateNetwork()
  private let running = Shared<[EndpointID: ChildProcess]>([:])
  private let said = Shared<[String]>([])
  private let readers = Shared<[Task<Void, Never>]>([])

  init(directory: String) { self.directory = directory }

  /// What the voters complained about.
  var complaints: [String] { said.value }

  /// An endpoint in their network.
  func makeClient() async throws -> Endpoint {
    var configuration = try Endpoint.Configuration.fromEnvironment(network.environment(name: "client"))
    configuration.logger.logLevel = .critical
    return try await Endpoint(configuration)
  }

  /// Starts one.
  func start(_ id: EndpointID, _ action: String, founding voters: [EndpointID] = []) throws {
    var environment = network.environment(name: "voter-\(id)")
    environment["GLUE_ENDPOINT_ID"] = "\(id)"
    let words = voters.map { "\($0)" }
    let child = try ChildProcess(
      ["quorum", Self.model, action] + words + ["--lan", "--store", "\(directory)/\(id)"],
      environment: environment, collectErrors: true)
    running.withLock { $0[id] = child }
    let reader = Task { [said] in
      for await line in child.errorLines {
        said.withLock { said in
          said.append("voter \(id): \(line)")
          if said.count > Self.keptLines { said.removeFirst() }
        }
      }
    }
    readers.withLock { $0.append(reader) }
  }

  /// Kills one at once: it says no goodbye, and writes nothing more.
  func kill(_ id: EndpointID) { running.withLock { $0.removeValue(forKey: id) }?.kill() }

  /// Ends all.
  func end() async {
    let children = running.withLock { running in
      defer { running = [:] }
      return running.sorted { $0.key < $1.key }.map(\.value)
    }
    for child in children { child.terminate() }
    for child in children { _ = await child.exitStatus() }
    for reader in readers.value { await reader.value }
  }
}
