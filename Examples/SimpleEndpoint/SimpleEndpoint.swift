import ArgumentParser
import Glue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// An endpoint that shows what it hears, or with `--send-messages` says something twice a second.
/// Its settings come from the environment: GLUE_NETWORK_ID, GLUE_DISCOVERY_TARGET_ADDRESS and so on.
@main
struct SimpleEndpoint: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simple-endpoint", abstract: "Shows what it hears on a topic, or says something twice a second.")

  @Flag(
    name: [.long, .customLong("sendMessages", withSingleDash: true)], help: "Send messages instead of showing them.")
  var sendMessages = false

  @Option(name: [.long, .customLong("topicName", withSingleDash: true)], help: "The topic.")
  var topicName = "some_topic"

  func run() async throws {
    try await withEndpoint(.fromEnvironment()) { endpoint in
      if sendMessages { try await send(endpoint) } else { try await show(endpoint) }
    }
  }

  private func send(_ endpoint: Endpoint) async throws {
    let publication = try endpoint.publication(topicName, type: "some_type")
    // Whoever is there already gets the first message too; nobody need be.
    try? await publication.awaitSubscribers(1, timeout: .milliseconds(500))
    while true {
      let receipt = try await publication.publish("Hello, world.")
      show("sent \(topicName) seq=\(receipt.sequence)")
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  private func show(_ endpoint: Endpoint) async throws {
    for await message in try endpoint.subscribe(to: topicName, type: "some_type") {
      let age = message.age / .milliseconds(1)
      show("\(message.publisher.name) \(message.topic) seq=\(message.sequence) age=\(age)ms \(message.text)")
    }
  }

  /// Prints a line at once, also into a pipe.
  private func show(_ line: String) {
    print(line)
    fflush(nil)
  }
}
