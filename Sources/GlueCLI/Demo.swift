import ArgumentParser
import Foundation

/// `glue demo`: what there is to see, in one command.
struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch endpoints at work, on this machine alone.",
    subcommands: [DemoMessages.self, DemoModel.self, DemoQuorum.self], defaultSubcommand: DemoMessages.self)
}

/// `glue demo messages`: the main job.
struct DemoMessages: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "messages",
    abstract: "Watch one process publish to three others, on this machine alone.",
    discussion: """
      Starts `glue sub` three times and `glue pub` once, on loopback and in a network of their own, shows what each \
      subscriber receives, and ends with a summary. The status is 0 only if nothing was lost and nothing came twice.
      """)

  @Option(help: "How many subscribers. (default: 3)", transform: parsePositive)
  var subscribers: Int = 3

  @Option(help: "Size of a message. (default: 64KiB)", transform: parseByteCount)
  var size: Int = 65_536

  @Option(help: "Messages per second. (default: 20)", transform: parseRate)
  var rate: Double = 20

  @Option(help: "How long to publish. (default: 10s)", transform: parseDuration)
  var duration: Duration = .seconds(10)

  private var messageCount: Int { max(1, Int((duration.inSeconds * rate).rounded())) }

  func run() async throws {
    let topic = "demo/picture"
    let network = PrivateNetwork()
    let board = Shared(DemoBoard(subscribers: subscribers, expected: messageCount))
    Console.line(
      "\(subscribers) subscribers and a publisher, each a process of its own, on loopback: "
        + "\(Format.bytes(size)) messages, \(Format.fixed(rate, rate == rate.rounded() ? 0 : 1)) per second.")

    let children = try (1...subscribers).map { number in
      try ChildProcess(
        ["sub", topic, "--json", "--no-payload", "--quiet"],
        environment: network.environment(name: "subscriber-\(number)"), collectErrors: true)
    }
    let publisher = try ChildProcess(
      [
        "pub", topic, "--size", "\(size)", "--rate", "\(rate)", "--count", "\(messageCount)",
        "--await-subscribers", "\(subscribers)", "--quiet",
      ],
      environment: network.environment(name: "publisher"), collectErrors: true)
    let all = children + [publisher]
    let complaints = Shared<[String]>([])
    let publisherStatus = Shared<Int32?>(nil)

    await withTaskGroup(of: Void.self) { group in
      for (index, child) in children.enumerated() {
        group.addTask {
          for await line in child.lines { board.withLock { $0.enter(line, subscriber: index) } }
        }
      }
      for child in all {
        group.addTask {
          for await line in child.errorLines { complaints.withLock { $0.append(line) } }
        }
      }
      // Whatever ends first, the publisher, a signal or the time limit: the rest is told to end, and then read to its end.
      _ = try? await untilStopped(after: duration + .seconds(20)) {
        try await withThrowingTaskGroup(of: Void.self) { live in
          live.addTask {
            let status = await publisher.exitStatus()
            publisherStatus.withLock { $0 = status }
            // Acknowledged means that the subscriber's endpoint has it; give its output a moment to get here.
            for _ in 0..<100 where status == 0 && !board.value.isComplete {
              try await Task.sleep(for: .milliseconds(20))
            }
          }
          live.addTask { try await showLive(board) }
          try await live.next()
          live.cancelAll()
        }
      }
      for child in all { child.terminate() }
      await group.waitForAll()
    }
    try report(board.value, publisherStatus.value, complaints.value)
  }

  /// Shows the board until cancelled: in place on a terminal, else as one line each second.
  private func showLive(_ board: Shared<DemoBoard>) async throws {
    let inPlace = Console.isTerminal
    var drawn = 0
    while true {
      try await Task.sleep(for: inPlace ? .milliseconds(200) : .seconds(1))
      let now = board.value
      if inPlace {
        let lines = now.liveLines
        let back = drawn > 0 ? "\u{1B}[\(drawn)A" : ""
        try Console.tryLine(back + lines.map { "\u{1B}[2K" + $0 }.joined(separator: "\n"))
        drawn = lines.count
      } else {
        try Console.tryLine(now.shortLine)
      }
    }
  }

  private func report(_ board: DemoBoard, _ status: Int32?, _ complaints: [String]) throws {
    for line in board.summaryLines(published: status == 0 ? messageCount : nil) { Console.line(line) }
    guard status == 0 else {
      for line in complaints { Console.error(line) }
      throw CommandFailure(
        status.map { "the publisher ended with status \($0)" } ?? "ended before everything was published")
    }
    guard board.isFaultless else {
      for line in complaints { Console.error(line) }
      throw CommandFailure("messages were lost or came twice")
    }
  }
}
