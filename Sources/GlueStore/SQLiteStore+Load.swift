import GRDB
import GlueCore

/// What a load has found to be worth nothing any more.
struct Leftovers {
  /// Row IDs of messages.
  var messages: [Int64] = []
  /// Bytes of their bodies.
  var bytes = 0
  /// Boots that date no message any more.
  var boots: Set<Int64> = []

  var isEmpty: Bool { messages.isEmpty && boots.isEmpty }
}

extension SQLiteStore {
  /// Reads everything, and says what of it is to be deleted.
  static func read(_ database: Database, now: StoreClock) throws -> (StoredContents, Leftovers) {
    let boots = try readBoots(database)
    var contents = StoredContents()
    contents.streams = try readStreams(database)
    let places = Dictionary(contents.streams.enumerated().map { ($1.stream.hash, $0) }) { first, _ in first }
    var undatable = [Int](repeating: 0, count: contents.streams.count)
    var leftovers = Leftovers()
    leftovers.boots = Set(boots.keys)

    let messages = try Row.fetchCursor(
      database,
      sql: """
        SELECT id, stream, boot, published, published_wall, stored_wall, sequence, position, time, lifetime, attributes, body
        FROM message ORDER BY stream, sequence
        """)
    while let row = try messages.next() {
      let found = try FoundMessage(row, boots: boots)
      guard let place = places[found.stream] else { throw DamagedRow(text: "a message belongs to no stream") }
      switch found.dated(at: now) {
      case .live(let message):
        contents.streams[place].messages.append(message)
        leftovers.boots.remove(found.boot)
        continue
      case .expired: contents.expired += 1
      case .undatable: undatable[place] += 1
      }
      leftovers.messages.append(found.id)
      leftovers.bytes += found.message.body.count
    }
    contents.undatable = zip(contents.streams, undatable).filter { $1 > 0 }.map { loaded, count in
      UndatableMessages(topic: loaded.stream.topic, publisher: loaded.stream.origin.publisher, count: count)
    }
    return (contents, leftovers)
  }

  private static func readBoots(_ database: Database) throws -> [Int64: String] {
    var boots: [Int64: String] = [:]
    let rows = try Row.fetchCursor(database, sql: "SELECT id, CAST(name AS BLOB) FROM boot")
    while let row = try rows.next() {
      var columns = RowReader(row)
      boots[try columns.integer()] = try columns.text()
    }
    return boots
  }

  private static func readStreams(_ database: Database) throws -> [LoadedStream] {
    let rows = try Row.fetchCursor(
      database,
      sql: """
        SELECT hash, publisher, incarnation, name, number, topic, type, epoch, history, depth FROM stream ORDER BY hash
        """)
    var streams: [LoadedStream] = []
    while let row = try rows.next() {
      var columns = RowReader(row)
      let hash = StreamHash(rawValue: try columns.bits())
      let origin = StreamOrigin(
        publisher: EndpointID(try columns.bits()), incarnation: Incarnation(try columns.bits()),
        name: try columns.text(),
        number: try columns.bits())
      let stream = StoredStream(
        origin: origin, topic: try columns.text(), type: try columns.optionalText(),
        epochMicroseconds: try columns.bits(),
        history: try columns.history())
      guard stream.hash == hash else { throw DamagedRow(text: "a stream has another one's hash") }
      streams.append(LoadedStream(stream: stream, messages: []))
    }
    return streams
  }
}

/// A row of the table of messages.
private struct FoundMessage {
  let id: Int64
  let stream: StreamHash
  let boot: Int64
  let date: PublicationDate
  let message: StoredMessage

  enum Dated {
    case live(LoadedMessage)
    case expired
    case undatable
  }

  init(_ row: Row, boots: [Int64: String]) throws {
    var columns = RowReader(row)
    id = try columns.integer()
    stream = StreamHash(rawValue: try columns.bits())
    boot = try columns.integer()
    guard let bootID = boots[boot] else { throw DamagedRow(text: "a message is of an unknown boot") }
    date = PublicationDate(
      bootID: bootID, boot: Timestamp(nanoseconds: try columns.bits()), wallMicroseconds: try columns.integer(),
      storedMicroseconds: try columns.integer())
    message = StoredMessage(
      sequence: try columns.ordered(), position: try columns.bits(), timeMicroseconds: try columns.bits(),
      lifetimeMicroseconds: try columns.optionalBits(), publishedAt: date.boot,
      hasAttributes: try columns.integer() != 0,
      body: try columns.bytes())
  }

  func dated(at now: StoreClock) -> Dated {
    guard let age = date.age(at: now) else {
      // Without an expiry its age is of no importance.
      guard message.lifetimeMicroseconds == nil else { return .undatable }
      return .live(loaded(publishedAt: Timestamp(nanoseconds: 0), expiresAt: nil))
    }
    // Both are exact in the boot of the message; before this boot publication is out of the clock's reach, but expiry is not.
    let publishedAt = Timestamp(nanoseconds: now.boot.nanoseconds - min(age.count, now.boot.nanoseconds))
    guard let microseconds = message.lifetimeMicroseconds else {
      return .live(loaded(publishedAt: publishedAt, expiresAt: nil))
    }
    let lifetime = Nanoseconds.microseconds(microseconds)
    guard age < lifetime else { return .expired }
    return .live(loaded(publishedAt: publishedAt, expiresAt: now.boot + Nanoseconds(lifetime.count - age.count)))
  }

  private func loaded(publishedAt: Timestamp, expiresAt: Timestamp?) -> LoadedMessage {
    var message = message
    message.publishedAt = publishedAt
    return LoadedMessage(message: message, expiresAt: expiresAt)
  }
}
