import ArgumentParser
import Foundation
import Glue
import Logging

/// The version of the command and the library, as CHANGELOG.md counts.
let glueVersion = "0.1.0-dev"

/// The command `glue`: a file per subcommand.
struct GlueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glue",
    abstract: "Publish and subscribe on the local network, without a broker.",
    discussion: """
      Settings come from the environment: GLUE_NETWORK_ID, GLUE_NETWORK_KEY, GLUE_NETWORK_KEY_FILE, GLUE_ENDPOINT_ID, \
      GLUE_ENDPOINT_NAME, GLUE_LISTEN_ADDRESS, GLUE_LISTEN_INTERFACE, GLUE_DISCOVERY_TARGET_ADDRESS, \
      GLUE_DISCOVERY_LISTEN_ADDRESS, GLUE_DISCOVERY_RATE_MILLISECONDS, GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER, \
      GLUE_RELAY, GLUE_MULTICAST_DATA, GLUE_BUSY_POLLING_MICROSECONDS.

      Durations are written 500ms, 10s, 2m; sizes 64, 64KiB, 16MB.
      """,
    version: "glue \(glueVersion)",
    subcommands: [
      Sub.self,
      Pub.self,
      Cache.self,
      Peers.self,
      Topics.self,
      ModelCommand.self,
      QuorumSubcommand.self,
      Doctor.self,
      Key.self,
      Demo.self,
      Bench.self,
      CheckHistory.self,
      Simulate.self,
    ])

  /// The command that tells more about these words: `glue help bench latency`, say.
  static func help(for words: ArraySlice<String>) -> String {
    var command: any ParsableCommand.Type = GlueCommand.self
    var path = ["glue", "help"]
    for word in words.first == "help" ? words.dropFirst() : words {
      guard let next = command.configuration.subcommands.first(where: { name(of: $0) == word }) else { break }
      path.append(word)
      command = next
    }
    return path.joined(separator: " ")
  }

  private static func name(of command: any ParsableCommand.Type) -> String {
    command.configuration.commandName ?? "\(command)".lowercased()
  }

  /// What is wrong with words of which one should be a command and is none; nil if there is no such word.
  static func complaint(
    about words: ArraySlice<String>, of command: any ParsableCommand.Type = GlueCommand.self
  ) -> String? {
    let commands = command.configuration.subcommands
    guard let word = words.first, !word.hasPrefix("-"), !commands.isEmpty else { return nil }
    if word == "help", command == GlueCommand.self { return complaint(about: words.dropFirst()) }
    if let next = commands.first(where: { name(of: $0) == word }) {
      return complaint(about: words.dropFirst(), of: next)
    }
    let known = commands.filter { $0.configuration.shouldDisplay }.map { name(of: $0) }
    return "there is no command \(word); expected one of \(known.joined(separator: ", "))"
  }
}

/// Runs the command line, and turns every error into one line on stderr and an exit status.
@main
enum Main {
  /// Exit statuses as in sysexits.h.
  enum Status {
    static let failure: Int32 = 1
    static let usage: Int32 = 64
    static let output: Int32 = 74
    static let configuration: Int32 = 78
  }

  static func main() async {
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = .error
      return handler
    }
    // Writing to a pipe whose reader has gone is then an error like others, and endpoints can say goodbye.
    signal(SIGPIPE, SIG_IGN)
    let words = CommandLine.arguments.dropFirst()
    if let complaint = GlueCommand.complaint(about: words) {
      end("\(complaint) (see `\(GlueCommand.help(for: words))`)", Status.usage)
    }
    do {
      var command = try GlueCommand.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let error as ConfigurationError {
      end(String(describing: error), Status.configuration)
    } catch let error as CommandFailure {
      end(error.text, Status.failure)
    } catch let error as OutputFailure {
      end(error)
    } catch let status as ExitCode {
      exit(status.rawValue)
    } catch {
      let status = GlueCommand.exitCode(for: error)
      if status == .success { GlueCommand.exit(withError: error) }
      if status == .validationFailure {
        end("\(line(of: GlueCommand.message(for: error))) (see `\(GlueCommand.help(for: words))`)", Status.usage)
      }
      end(String(describing: error), Status.failure)
    }
  }

  /// What is wrong, in one line, with the list of what was expected if there is one.
  private static func line(of message: String) -> String {
    let lines = message.split(separator: "\n").map(String.init)
    guard let first = lines.first else { return "bad arguments" }
    let items = lines.dropFirst().prefix { $0.hasPrefix("  - ") }.map { $0.dropFirst(4) }
    return items.isEmpty ? first : "\(first) \(items.joined(separator: ", "))"
  }

  /// Ends the process because its output cannot be written; quietly if that is because nobody wants more of it.
  static func end(_ failure: OutputFailure) -> Never {
    if failure.isReaderGone { exit(0) }
    end(failure.text, Status.output)
  }

  private static func end(_ text: String, _ status: Int32) -> Never {
    Console.error("glue: \(text)")
    exit(status)
  }
}

/// A failure that has been put into words; ends the process with status 1.
struct CommandFailure: Error {
  let text: String
  init(_ text: String) { self.text = text }
}
