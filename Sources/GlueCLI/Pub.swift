import ArgumentParser
import Glue

/// `glue pub`: publishes messages and waits until they have arrived.
struct Pub: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Publish messages on a topic, and wait for their acknowledgement.",
    discussion: """
      The payload is PAYLOAD, or a file, or made up (--size), or with --stdin each line of standard input is one message. \
      Waits up to half a second for a first subscriber, or as long as it takes with --await-subscribers. \
      Ends with status 0 when every matched subscriber has acknowledged everything, also when there is none, otherwise \
      with status 1 after telling who has not. With --await-stored N the status is 0 when N caches have stored everything, \
      whoever has acknowledged it, and else 1. With --retain the topic keeps the last value for ever, and with --clear it has none \
      any more: first everybody known is asked, for up to 1s, which value he holds, so that the new one is higher; then the \
      status is 0 when somebody else holds it, and else 1. On SIGINT, SIGTERM or SIGHUP it takes no more messages, waits up to 2s for \
      acknowledgements, tells how many messages were published and who has not acknowledged them, and ends with status \
      130, 143 or 129. A second signal ends it at once.
      """)

  @Argument(help: "The topic.")
  var topic: String

  @Argument(help: "The payload, as text.")
  var payload: String?

  @Option(help: "The topic's type.")
  var type: String?

  @Option(help: "How long a message is worth delivering, for example 500ms.", transform: parseDuration)
  var expiry: Duration?

  @Option(help: "Publish the contents of this file, or of a pipe or device up to its end.")
  var file: String?

  @Flag(help: "Publish each line of standard input.")
  var stdin = false

  @Option(help: "Publish a made-up payload of this size, for example 64KiB.", transform: parseByteCount)
  var size: Int?

  @Option(help: "Messages per second; without it as fast as subscribers take them.", transform: parseRate)
  var rate: Double?

  @Option(help: "How many messages; without it 1, or with --rate no end.", transform: parsePositive)
  var count: Int?

  @Option(
    help: "Wait for so many matched subscribers first; tells how many there are when that takes longer than 1s.",
    transform: parsePositive)
  var awaitSubscribers: Int?

  @Option(
    help:
      "Wait at the end until so many caches have stored every message (glue cache --store); needs --expiry or --keep N.",
    transform: parsePositive)
  var awaitStored: Int?

  @Option(
    help:
      "How long to wait for acknowledgements, and for caches, at the end; does not limit --await-subscribers. (default: 10s)",
    transform: parseDuration)
  var timeout: Duration = .seconds(10)

  @Option(
    help:
      "What is kept for subscribers that come later: expiry (messages with --expiry, until then), none, or the last N. (default: expiry)",
    transform: parseHistoryPolicy)
  var keep: HistoryPolicy?

  @Flag(help: "The topic keeps its last value for ever, of all publishers' one; wait until somebody else holds it.")
  var retain = false

  @Flag(help: "End the value that the topic retains; takes no payload.")
  var clear = false

  @Flag(help: "Send each message once, and do not repeat what the network loses.")
  var bestEffort = false

  @OptionGroup var options: EndpointOptions

  /// The largest message.
  private static let limit = TopicsConfiguration().maximumMessageBytes

  func validate() throws {
    let sources = [payload != nil, file != nil, stdin, size != nil].filter { $0 }.count
    if clear, sources > 0 || retain || count != nil || rate != nil || expiry != nil {
      throw ValidationError("--clear takes no payload, and none of --retain, --count, --rate and --expiry")
    }
    if sources > 1 { throw ValidationError("give only one of PAYLOAD, --file, --stdin and --size") }
    if retain || clear {
      if keep != nil { throw ValidationError("--keep does not go with --retain or --clear, which keep one value") }
      if bestEffort {
        throw ValidationError("--best-effort does not go with --retain or --clear: nothing of it is kept")
      }
    }
    if sources == 0, !clear {
      throw ValidationError(
        "give one of PAYLOAD, --file, --stdin and --size; a PAYLOAD that begins with - goes after --")
    }
    if let size, size > Self.limit {
      throw ValidationError("--size \(size) exceeds the largest message, \(Self.limit) bytes")
    }
    if let expiry, expiry <= .zero { throw ValidationError("--expiry must be longer than 0") }
    if bestEffort, let keep, keep != .none {
      throw ValidationError("--keep does not go with --best-effort, of which nothing is kept")
    }
    if awaitStored != nil {
      if bestEffort { throw ValidationError("--await-stored does not go with --best-effort, of which nothing is kept") }
      if history == .none || history == .untilExpiry && expiry == nil {
        throw ValidationError("--await-stored needs messages that are kept: --expiry, --keep N, or --retain")
      }
    }
    if stdin && count != nil { throw ValidationError("--count does not go with --stdin") }
  }

  /// What the topic keeps.
  private var history: HistoryPolicy { retain || clear ? .retained : keep ?? .untilExpiry }

  func run() async throws {
    let source = try makeSource()
    let retains = retain || clear
    let endpoint = try await options.makeEndpoint()
    var settings = TopicSettings()
    settings.reliability = bestEffort ? .bestEffort : .reliable
    settings.whenFull = .block(timeout: .seconds(10))
    settings.history = history
    let publication = try endpoint.publication(topic, type: type, settings)
    let ledger = Ledger()
    try await GlueCLI.run(
      endpoint, quiet: options.quiet,
      { _ in
        if let awaitSubscribers {
          try await wait(for: awaitSubscribers, on: publication)
        } else {
          // Whoever is there already should get the first message too; nobody need be.
          try? await publication.awaitSubscribers(1, timeout: Self.acquaintance)
        }
        if retains {
          do { try await publication.awaitValue(timeout: Self.inquiry) } catch EndpointFailure.timedOut {}
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { await ledger.watch() }
          try await publish(source, on: publication) { ledger.add($0) }
          group.cancelAll()
        }
      },
      conclude: { endpoint, signal in
        let missing = await ledger.missing(timeout: signal == nil ? timeout : min(timeout, Self.patience))
        let names = Dictionary(endpoint.peers.map { ($0.id, $0.name) }, uniquingKeysWith: { a, _ in a })
        let list = missing.map { peer in
          "\(peer.id)\(names[peer.id].map { " (\($0))" } ?? "") up to seq=\(peer.sequence)"
        }.joined(separator: ", ")
        if let signal {
          let count = "\(ledger.published) \(ledger.published == 1 ? "message" : "messages")"
          let rest = list.isEmpty ? "all acknowledged" : "not acknowledged by \(list)"
          let isAcknowledgeable = ledger.published > 0 && !bestEffort && publication.matchedSubscribers > 0
          Console.error(
            "glue: \(signal) after \(count) on \(topic)"
              + (isAcknowledgeable || !list.isEmpty ? "; \(rest)" : ""))
          throw ExitCode(signal.status)
        }
        if ledger.published > 0 && missing.isEmpty && publication.matchedSubscribers == 0 && !retains {
          Console.error("glue: \(topic) has no subscriber now; --await-subscribers N waits for N of them")
        }
        let failure = CommandFailure("messages on \(topic) were not acknowledged by \(list)")
        if retains || awaitStored != nil {
          // What is held or stored outlives subscribers, and caches, that have gone.
          if !missing.isEmpty { Console.error("glue: \(failure)") }
          if retains { try await ledger.awaitHolder(on: topic, timeout: timeout) }
          if let awaitStored {
            try await ledger.awaitStored(by: awaitStored, on: topic, keeping: history, timeout: timeout)
          }
          return
        }
        if !missing.isEmpty { throw failure }
      })
  }

  /// How long a signal lets it wait for acknowledgements: supervisors kill what takes much longer.
  private static let patience = Duration.seconds(2)

  /// How long it waits for others to say which value they hold. Who takes longer is not there.
  private static let inquiry = Duration.seconds(1)

  /// How long the first message waits for a subscriber when none is demanded: ten times what it takes to find one.
  private static let acquaintance = Duration.milliseconds(500)

  /// Waits for so many subscribers. After a second it tells how many there are, then whenever that has changed.
  private func wait(for count: Int, on publication: Publication) async throws {
    var told: Int?
    var pause = Duration.seconds(1)
    while true {
      do {
        return try await publication.awaitSubscribers(count, timeout: pause)
      } catch EndpointFailure.timedOut {
        pause = .milliseconds(200)
      }
      let present = publication.matchedSubscribers
      if present != told, present < count, !options.quiet {
        Console.error("glue: waiting for subscribers of \(topic): \(present) of \(count) are there")
      }
      told = present
    }
  }

  /// Publishes at the rate until the source is used up; a late message does not delay those after it.
  private func publish(_ source: Source, on publication: Publication, then: (Receipt) -> Void) async throws {
    let start = ContinuousClock.now
    var sent = 0
    let lines = LineReader(limit: Self.limit)
    while let bytes = try await source.message(sent, lines) {
      if let rate { try await Task.sleep(until: start + .seconds(Double(sent) / rate), clock: .continuous) }
      try Task.checkCancellation()
      then(try await clear ? publication.clear() : publication.publish(bytes, expiry: expiry))
      sent += 1
    }
  }

  /// Where payloads come from; `message` is nil when there are no more.
  private enum Source {
    case repeated([UInt8], count: Int)
    case sized(Int, count: Int)
    case lines

    func message(_ index: Int, _ lines: LineReader) async throws -> [UInt8]? {
      switch self {
      case .repeated(let bytes, let count): index < count ? bytes : nil
      case .sized(let size, let count): index < count ? Source.madeUp(index, size: size) : nil
      case .lines: try await lines.next()
      }
    }

    /// The number of the message, then letters, so that each payload differs from the one before.
    private static func madeUp(_ index: Int, size: Int) -> [UInt8] {
      var bytes = Array("\(index) ".utf8.prefix(size))
      bytes.reserveCapacity(size)
      while bytes.count < size { bytes.append(0x61 + UInt8((bytes.count + index) % 26)) }
      return bytes
    }
  }

  private func makeSource() throws -> Source {
    let count = count ?? (rate == nil ? 1 : .max)
    if clear { return .repeated([], count: 1) }
    if let payload { return .repeated(Array(payload.utf8), count: count) }
    if let size { return .sized(size, count: count) }
    guard let file else { return .lines }
    return .repeated(try Files.contents(of: file, limit: Self.limit), count: count)
  }
}
