import GRDB
import GlueCore

import struct Foundation.Data

extension SQLiteStore {
  /// Makes all writes of a batch in one transaction. Returns by how much the bytes of all bodies have changed.
  static func write(_ batch: StoreBatch, clock: StoreClock, to database: Database) throws -> Int {
    var change = 0
    try database.inTransaction(.immediate) {
      let statements = try Statements(database)
      let boot = try bootNumber(clock.bootID, in: database)
      for write in batch.writes {
        switch write {
        case .stream(let stream): try statements.insert(stream)
        case .message(let message, let stream):
          let date = PublicationDate(publishedAt: message.publishedAt, storedAt: clock)
          if try statements.insert(message, of: stream, date: date, boot: boot) { change += message.body.count }
        case .forget(let stream, let sequence): change -= try statements.forget(stream, below: sequence)
        case .forgetStream(let stream): change -= try statements.forget(stream)
        }
      }
      return .commit
    }
    return change
  }

  /// Deletes what a load has found to be worth nothing. Returns by how much the bytes of all bodies have changed.
  static func delete(_ leftovers: Leftovers, from database: Database) throws -> Int {
    guard !leftovers.isEmpty else { return 0 }
    try database.inTransaction(.immediate) {
      let message = try database.cachedStatement(sql: "DELETE FROM message WHERE id = ?")
      for id in leftovers.messages { try message.execute(arguments: [id]) }
      let boot = try database.cachedStatement(sql: "DELETE FROM boot WHERE id = ?")
      for id in leftovers.boots { try boot.execute(arguments: [id]) }
      return .commit
    }
    return -leftovers.bytes
  }

  /// The number that stands for a boot in the rows of its messages.
  private static func bootNumber(_ name: String, in database: Database) throws -> Int64 {
    try database.cachedStatement(sql: "INSERT INTO boot (name) VALUES (?) ON CONFLICT DO NOTHING").execute(arguments: [
      name
    ])
    let select = try database.cachedStatement(sql: "SELECT id FROM boot WHERE name = ?")
    guard let id = try Int64.fetchOne(select, arguments: [name]) else {
      throw DamagedRow(text: "a boot cannot be found")
    }
    return id
  }

  /// The statements of a batch. They are prepared once in the life of the connection.
  private struct Statements {
    private let database: Database
    private let insertStream: Statement
    private let insertMessage: Statement
    private let sumBelow: Statement
    private let forgetBelow: Statement
    private let sumAll: Statement
    private let forgetAll: Statement
    private let forgetStream: Statement

    init(_ database: Database) throws {
      self.database = database
      insertStream = try database.cachedStatement(
        sql: """
          INSERT INTO stream
            (hash, publisher, incarnation, name, number, topic, type, epoch, history, depth)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
          """)
      insertMessage = try database.cachedStatement(
        sql: """
          INSERT INTO message
            (stream, sequence, position, time, lifetime, boot, published, published_wall, stored_wall, attributes, body)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
          """)
      let below = "FROM message WHERE stream = ? AND sequence < ?"
      let all = "FROM message WHERE stream = ?"
      sumBelow = try database.cachedStatement(sql: "SELECT ifnull(sum(length(body)), 0) " + below)
      forgetBelow = try database.cachedStatement(sql: "DELETE " + below)
      sumAll = try database.cachedStatement(sql: "SELECT ifnull(sum(length(body)), 0) " + all)
      forgetAll = try database.cachedStatement(sql: "DELETE " + all)
      forgetStream = try database.cachedStatement(sql: "DELETE FROM stream WHERE hash = ?")
    }

    func insert(_ stream: StoredStream) throws {
      let history = Columns.history(stream.history)
      try insertStream.execute(arguments: [
        Columns.bits(stream.hash.rawValue), Columns.bits(stream.origin.publisher.rawValue),
        Columns.bits(stream.origin.incarnation.rawValue), Columns.text(stream.origin.name),
        Columns.bits(stream.origin.number),
        Columns.text(stream.topic), stream.type.map(Columns.text), Columns.bits(stream.epochMicroseconds), history.code,
        history.depth,
      ])
    }

    /// Whether it was not there yet.
    func insert(_ message: StoredMessage, of stream: StreamHash, date: PublicationDate, boot: Int64) throws -> Bool {
      try insertMessage.execute(arguments: [
        Columns.bits(stream.rawValue), Columns.ordered(message.sequence), Columns.bits(message.position),
        Columns.bits(message.timeMicroseconds), message.lifetimeMicroseconds.map(Columns.bits), boot,
        Columns.bits(date.boot.nanoseconds), date.wallMicroseconds, date.storedMicroseconds, message.hasAttributes,
        Data(message.body),
      ])
      return database.changesCount > 0
    }

    /// Returns the bytes of the bodies that were let go.
    func forget(_ stream: StreamHash, below sequence: UInt64) throws -> Int {
      let range: StatementArguments = [Columns.bits(stream.rawValue), Columns.ordered(sequence)]
      let bytes = try Int.fetchOne(sumBelow, arguments: range) ?? 0
      try forgetBelow.execute(arguments: range)
      return bytes
    }

    /// Returns the bytes of the bodies that were let go.
    func forget(_ stream: StreamHash) throws -> Int {
      let hash: StatementArguments = [Columns.bits(stream.rawValue)]
      let bytes = try Int.fetchOne(sumAll, arguments: hash) ?? 0
      try forgetAll.execute(arguments: hash)
      try forgetStream.execute(arguments: hash)
      return bytes
    }
  }
}
