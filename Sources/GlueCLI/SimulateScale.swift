import ArgumentParser
import Foundation
import GlueSimulation

/// `glue simulate scale`: what discovery costs many endpoints, and how long many topics take, in virtual time.
struct SimulateScale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale",
    abstract: "Measure discovery among many endpoints, and many topics, in virtual time.",
    discussion: """
      Endpoints of the real core, each on a host of its own: all start within a second, nothing happens, one or more join, half of \
      them start anew. Figures are per endpoint; bytes include the headers of IPv4 and UDP; a peak is what the busiest \
      endpoint received within 100 ms. The same seed gives the same figures on every machine, but for memory and \
      processor time, which are those of the simulator, per endpoint.
      """)

  @Option(help: "How many endpoints, several numbers with commas.", transform: numbers)
  var endpoints: [Int] = [10, 100, 1_000]

  @Option(help: "How many more join afterwards, within 100 ms if there are several.")
  var newcomers: Int = 1

  @Option(help: "How they find each other: multicast or rendezvous.")
  var meeting: DiscoveryScaleOptions.Meeting = .multicast

  @Option(help: "Datagrams lost, in per cent.")
  var loss: Int = 0

  @Option(help: "Receive buffer of each socket. (default: 212992 bytes)", transform: parseByteCount)
  var receiveBuffer: Int = 212_992

  @Option(help: "Topics of a publisher; 0: none.")
  var topics: Int = 10_000

  @Option(help: "Topics of a publisher that is gone, of which two endpoints hold a message each; 0: none.")
  var held: Int = 0

  @Option(help: "How often that publisher lived.")
  var lives: Int = 1

  @Option(help: "The last of the phases: start, steady, newcomer or restart.")
  var until: DiscoveryScaleResult.Phase = .restart

  @Option(help: "The seed.")
  var seed: UInt64 = 1

  @Flag(help: "One JSON object per phase of discovery.")
  var json = false

  func validate() throws {
    guard endpoints.allSatisfy({ (2...4_000).contains($0) }) else {
      throw ValidationError("--endpoints counts from 2 to 4000")
    }
    guard (1...1_000).contains(newcomers) else { throw ValidationError("--newcomers counts from 1 to 1000") }
    guard (0...50).contains(loss), (0...60_000).contains(topics) else {
      throw ValidationError("--loss goes to 50, --topics to 60000")
    }
    guard (0...60_000).contains(held), lives > 0, held * lives <= 60_000 else {
      throw ValidationError("--held times --lives goes to 60000")
    }
    guard !json || (topics == 0 && held == 0) else {
      throw ValidationError("--json tells of discovery alone: it goes with --topics 0, and without --held")
    }
  }

  func run() async throws {
    var violations: [Violation] = []
    if !endpoints.isEmpty, !json {
      Console.line(
        "endpoints  phase     met after  sent/s  recv/s  sent B/s  recv B/s  peak 100 ms      overflows  CPU ms/s  KiB")
    }
    for count in endpoints { violations += measureDiscovery(count) }
    if topics > 0 { violations += try measureTopics() }
    if held > 0 { violations += try measureHistory() }
    for violation in violations { Console.line("\(violation)") }
    if !violations.isEmpty { throw CommandFailure("\(violations.count) violations") }
  }

  // MARK: Discovery

  private func measureDiscovery(_ count: Int) -> [Violation] {
    var options = DiscoveryScaleOptions()
    options.endpoints = count
    options.newcomers = newcomers
    options.meeting = meeting
    options.lossPercent = loss
    options.receiveBufferBytes = receiveBuffer
    options.seed = seed
    let memory = residentKibibytes()
    let scale = DiscoveryScale(options)
    var violations: [Violation] = []
    for phase in DiscoveryScaleResult.Phase.allCases {
      let (began, beganAt) = (Clocks.processorSeconds(), scale.virtualSeconds)
      let result = scale.run(phase)
      let running = Double(max(1, scale.running))
      // The steady phase is preceded by a quiet while that is not measured, but computed.
      let span = scale.virtualSeconds - beganAt
      let load = (Clocks.processorSeconds() - began) * 1_000 / running / max(span, 0.001)
      let kibibytes = Double(residentKibibytes() - memory) / running
      if json {
        Console.line(jsonLine(result, count, load: load, kibibytes: kibibytes))
      } else {
        tell(result, count, load: load, kibibytes: kibibytes)
      }
      violations += result.violations
      if phase == until { break }
    }
    return violations
  }

  private func tell(_ result: DiscoveryScaleResult, _ count: Int, load: Double, kibibytes: Double) {
    func rate(_ amount: Double) -> String { String(format: "%.1f", amount / Self.span(of: result)) }
    let met = result.phase == .steady ? "" : result.seconds.map { String(format: "%.2f s", $0) } ?? "never"
    let columns = [
      ("\(count)", 9), (result.phase.rawValue, -9), (met, 9), (rate(result.sent), 7), (rate(result.received), 7),
      (rate(result.sentBytes), 9), (rate(result.receivedBytes), 9),
      ("\(result.peakDatagrams), \(result.peakBytes) B", 16), ("\(result.overflows)", 10),
      (String(format: "%.2f", load), 9), (String(format: "%.0f", kibibytes), 5),
    ]
    Console.line(
      columns.map { text, width in
        let space = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? text + space : space + text
      }.joined(separator: "  "))
    if !result.limits.isEmpty {
      let limits = result.limits.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
      Console.line("           limits reached: \(limits)")
    }
  }

  private func jsonLine(_ result: DiscoveryScaleResult, _ count: Int, load: Double, kibibytes: Double) -> String {
    let span = Self.span(of: result)
    var line = JSONLine()
    line.add("endpoints", count)
    line.add("phase", result.phase.rawValue)
    line.add("metAfterSeconds", result.phase == .steady ? nil : result.seconds)
    line.add("sentPerSecond", result.sent / span)
    line.add("receivedPerSecond", result.received / span)
    line.add("sentBytesPerSecond", result.sentBytes / span)
    line.add("receivedBytesPerSecond", result.receivedBytes / span)
    line.add("peakDatagrams", result.peakDatagrams)
    line.add("peakBytes", result.peakBytes)
    line.add("overflows", result.overflows)
    line.add("processorMillisecondsPerSecond", load)
    line.add("kibibytes", kibibytes)
    return line.line
  }

  /// The seconds that rates are of. Less than a second counts as one, or rates would exceed what was sent.
  private static func span(of result: DiscoveryScaleResult) -> Double { max(1, result.span) }

  // MARK: Topics

  private func measureTopics() throws -> [Violation] {
    var violations: [Violation] = []
    for usesWildcard in [false, true] {
      for perPeer in [topics, nil] {
        var options = TopicScaleOptions()
        options.topics = topics
        options.usesWildcard = usesWildcard
        options.perPeer = perPeer
        options.lossPercent = loss
        options.seed = seed
        let began = Clocks.processorSeconds()
        let scale = try TopicScale(options)
        for number in 1...2 {
          let result = try scale.join(number)
          let what = usesWildcard ? "one subscription #" : "\(topics) subscriptions"
          let limit = perPeer.map { "\($0) for each peer" } ?? "the default limit for each peer"
          Console.line(
            "\(topics) topics, \(what), \(limit), subscriber \(number): \(result.matched) matched and \(result.refused) refused "
              + String(format: "after %.3f s, ", result.seconds)
              + "\(result.datagrams) datagrams, \(result.bytes) bytes; "
              + String(format: "%.2f s of processor time so far", Clocks.processorSeconds() - began))
          violations += result.violations
        }
      }
    }
    return violations
  }
}

extension DiscoveryScaleOptions.Meeting: ExpressibleByArgument {}
extension DiscoveryScaleResult.Phase: ExpressibleByArgument {}

/// Numbers separated by commas.
@Sendable private func numbers(_ text: String) throws -> [Int] {
  let numbers = text.split(separator: ",").map { Int($0) }
  guard !numbers.contains(nil) else { throw ValidationError("expected numbers with commas between them, not \(text)") }
  return numbers.compactMap(\.self)
}

/// Memory of this process, where the system tells.
func residentKibibytes() -> Int {
  guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
  return line.flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } } ?? 0
}
