import ArgumentParser
import GlueSimulation

/// `glue bench core`: the cores of a publisher and its subscribers in one thread and virtual time, without driver and sockets.
///
/// What it does follows from its arguments alone, so instructions can be counted: those of two runs with different numbers of
/// messages differ by what these messages took (`Benchmarks/instructions`).
struct BenchCore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "core",
    abstract: "Send messages from one core to others, without sockets and threads.",
    discussion: """
      Prints the processor time of each message, of all sides together, and how many datagrams the publisher sent. What is done \
      is the same in every run: count its instructions to compare builds.
      """)

  enum Workload: String, ExpressibleByArgument, CaseIterable {
    /// 64 bytes, as many at once as fill a large datagram.
    case burst
    /// 64 bytes, each in a datagram of its own.
    case lone
    /// 64 KiB, one at a time.
    case large
    /// 64 bytes, to 1,000 topics in turns, three to each at once.
    case topics

    var bytes: Int { self == .large ? 65_536 : 64 }
    var topics: Int { self == .topics ? 1_000 : 1 }
    var messagesAtOnce: Int {
      switch self {
      case .burst: 900
      case .topics: 3 * topics
      case .lone, .large: 1
      }
    }
  }

  @Option(help: "What is sent.")
  var workload: Workload = .burst

  @Option(help: "How many messages. (default: 100000)", transform: parsePositive)
  var messages: Int = 100_000

  @Option(help: "To how many. (default: 1)", transform: parsePositive)
  var subscribers: Int = 1

  @Flag(help: "One JSON object.")
  var json = false

  func validate() throws {
    guard subscribers <= Self.mostSubscribers else {
      throw ValidationError("--subscribers is at most \(Self.mostSubscribers)")
    }
  }

  /// Each meets the publisher first.
  private static let mostSubscribers = 1_000

  func run() throws {
    let bench = try CoreBench(topics: workload.topics, subscribers: subscribers)
    let payload = [UInt8](repeating: 0x61, count: workload.bytes)
    // Round trips and path are known then, and buffers have the size that they need.
    try bench.send(payload, count: workload.messagesAtOnce * 20, atOnce: workload.messagesAtOnce)
    let datagrams = bench.publisherDatagrams
    let before = Clocks.processorSeconds()
    try bench.send(payload, count: messages, atOnce: workload.messagesAtOnce)
    let nanoseconds = (Clocks.processorSeconds() - before) * 1e9 / Double(messages)
    if json {
      var line = JSONLine()
      line.add("workload", workload.rawValue)
      line.add("messages", messages)
      line.add("nanosecondsPerMessage", nanoseconds)
      line.add("publisherDatagrams", bench.publisherDatagrams - datagrams)
      Console.line(line.line)
    } else {
      Console.line(
        "\(workload): \(Format.fixed(nanoseconds, 1)) ns of processor time per message, all sides; the publisher sent "
          + "\(bench.publisherDatagrams - datagrams) datagrams")
    }
  }
}
