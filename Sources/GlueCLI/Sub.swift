import ArgumentParser
import Foundation
import Glue

/// `glue sub`: shows messages as they come.
struct Sub: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the messages on the topics that match a filter.",
    discussion: """
      One line per message on stdout, events on stderr. Ends with status 0 after --count messages, after --duration, or on \
      SIGINT, SIGTERM or SIGHUP, or when nobody reads its output any more; a second signal ends it at once. Status 1 if \
      --duration is over before --count messages have come, 74 if output cannot be written.
      """)

  @Argument(help: "Topic filter: + stands for one level, # at the end for all the rest.")
  var filter: String

  @Option(help: "Only topics of this type; without it of any.")
  var type: String?

  @Option(
    help:
      "Also what was published before: the value of topics that retain their last one (retained), the last N messages of each publisher on each topic, or all that are kept. (default: retained)",
    transform: parseHistoryRequest)
  var history: HistoryRequest?

  @Option(
    help: """
      Go on where the last run with this file stopped, and note there how far this one comes: with the first run, or of new \
      publishers, everything that is kept. Only what publishers let be kept can come again (glue pub --expiry, --keep).
      """)
  var position: String?

  @Option(help: "End after so many messages; without it there is no end.", transform: parsePositive)
  var count: Int?

  @Option(help: "End after this time, for example 10s.", transform: parseDuration)
  var duration: Duration?

  @Flag(help: "Show each message as a JSON object on one line.")
  var json = false

  @Flag(help: "Leave out the payloads.")
  var noPayload = false

  @Flag(help: "End with one JSON line that counts what arrived, from the sequence numbers.")
  var summary = false

  @Option(help: "Also write each payload to a file in this directory: TOPIC-PUBLISHER-INCARNATION-SEQUENCE.")
  var output: String?

  @OptionGroup var options: EndpointOptions

  func validate() throws {
    if position != nil, history != nil {
      throw ValidationError("--history is for what no earlier run has seen: with --position it is all")
    }
    if position?.isEmpty == true { throw ValidationError("--position takes the name of a file") }
  }

  func run() async throws {
    let file = position.map { PositionFile(path: $0, filter: filter) }
    let start = try file?.load()
    if let output { try Files.makeDirectory(output) }
    let endpoint = try await options.makeEndpoint()
    let messages =
      if let start {
        try endpoint.subscribe(to: filter, from: start, type: type)
      } else {
        try endpoint.subscribe(to: filter, type: type, history: history ?? .retained)
      }
    let record = Shared(Record(position: start ?? ReadPosition()))
    // An error here rather than at the end, when much would have to be read again.
    if let file, let start { try file.save(start) }
    let saving = file.map { file in Task { await Self.save(record, to: file) } }
    try await GlueCLI.run(
      endpoint, quiet: options.quiet, for: duration,
      { _ in
        for await message in messages {
          let seen = record.withLock { $0.add(message) }
          // First the file: whoever sees the line may look for it.
          if let output { try Files.write(message.bytes, to: MessageFile.name(of: message), in: output) }
          try Console.tryLine(json ? jsonLine(message) : textLine(message).printable)
          // Not before: what nobody has seen is to come again.
          if file != nil { record.withLock { $0.position.advance(past: message) } }
          if let count, seen >= count { break }
        }
      },
      conclude: { _, signal in
        saving?.cancel()
        await saving?.value
        try file?.save(record.value.position)
        if summary { try Console.tryLine(record.value.summary) }
        let seen = record.value.seen
        if let count, seen < count, signal == nil {
          throw CommandFailure("\(seen) of \(count) messages came before --duration was over")
        }
      })
  }

  /// Writes the position again and again while it changes, until the task is cancelled. That it cannot is told once, and tried again.
  private static func save(_ record: Shared<Record>, to file: PositionFile) async {
    var saved = record.value.seen
    var isFailing = false
    while (try? await Task.sleep(for: PositionFile.interval)) != nil {
      let now = record.value
      guard now.seen > saved else { continue }
      do {
        try file.save(now.position)
        saved = now.seen
        isFailing = false
      } catch {
        if !isFailing { Console.error("glue: \(error); trying again") }
        isFailing = true
      }
    }
  }

  private func textLine(_ message: Message) -> String {
    let age = Format.milliseconds(message.age)
    let head = "\(message.topic) from \(message.publisher.name) seq=\(message.sequence) age=\(age)"
    if message.isCleared { return "\(head) cleared" }
    guard !noPayload, let text = String(validating: message.bytes, as: UTF8.self) else {
      return "\(head) \(message.bytes.count) B"
    }
    return "\(head) \(text)"
  }

  private func jsonLine(_ message: Message) -> String {
    var publisher = JSONLine()
    publisher.add("id", message.publisher.id.rawValue)
    publisher.add("name", message.publisher.name)
    publisher.add("incarnation", message.publisher.incarnation.rawValue)
    var line = JSONLine()
    line.add("topic", message.topic)
    line.add("type", message.type)
    line.add("publisher", publisher)
    line.add("sequence", message.sequence)
    if message.isCleared { line.add("cleared", true) }
    if !noPayload {
      if let text = String(validating: message.bytes, as: UTF8.self) {
        line.add("payload", text)
      } else {
        line.add("payloadBase64", Data(message.bytes).base64EncodedString())
      }
    }
    line.add("size", message.bytes.count)
    line.add("ageMilliseconds", message.age.inMilliseconds)
    // Each by its own host's clock.
    line.add("publishedAt", message.publishedAt)
    line.add("receivedAt", UInt64(max(0, Date().timeIntervalSince1970) * 1_000_000))
    return line.line
  }

  /// What arrived, and when.
  private struct Record {
    /// How far it was shown.
    var position: ReadPosition
    private var tally = Tally()
    private(set) var seen = 0
    private var first: ContinuousClock.Instant?
    private var last: ContinuousClock.Instant?

    init(position: ReadPosition) { self.position = position }

    /// Enters a message and returns how many there were.
    mutating func add(_ message: Message) -> Int {
      tally.add(
        topic: message.topic, publisher: message.publisher.id.rawValue,
        incarnation: message.publisher.incarnation.rawValue, sequence: message.sequence, size: message.bytes.count)
      last = .now
      if first == nil { first = last }
      seen += 1
      return seen
    }

    /// One JSON line; the seconds are those from the first to the last message.
    var summary: String {
      var line = JSONLine()
      line.add("received", tally.received)
      line.add("lost", tally.lost)
      line.add("duplicates", tally.duplicates)
      line.add("outOfOrder", tally.outOfOrder)
      line.add("bytes", tally.bytes)
      line.add("seconds", first.flatMap { first in last.map { first.duration(to: $0).inSeconds } } ?? 0)
      return line.line
    }
  }
}
