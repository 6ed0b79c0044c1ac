import GRDB
import GlueCore
import GlueModel

import struct Foundation.Data

/// A replica of a model, durably: an SQLite database in a directory, which may hold those of several models (docs/store.md).
///
/// Calls block until the disk is done, and may come from any thread; they are served one at a time. One process at a time has a file open, by
/// one object.
public final class SQLiteModelStore: ModelStore {
  /// The database file.
  public let path: String
  private let queue: DatabaseQueue

  /// "glum", and the tables. Of a path only the text is kept: it is checked when it is read.
  private static let schema = FileSchema(
    applicationID: 0x676C_756D, version: 1, kind: "model",
    tables: """
      CREATE TABLE model (name BLOB NOT NULL, context BLOB NOT NULL, clock INTEGER NOT NULL);
      CREATE TABLE replica (
        id INTEGER PRIMARY KEY, endpoint INTEGER NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL,
        UNIQUE (endpoint, number, generation));
      CREATE TABLE entry (
        replica INTEGER NOT NULL REFERENCES replica (id), counter INTEGER NOT NULL, time INTEGER NOT NULL, path BLOB NOT NULL,
        kind INTEGER NOT NULL, value BLOB, amount INTEGER, folds INTEGER, PRIMARY KEY (replica, counter)) WITHOUT ROWID;
      """)

  /// Opens the file of a model in a directory, and makes either if it is missing; the directory's parent must exist. Fails at once if
  /// somebody has it open.
  ///
  /// - Throws: ``StoreError``.
  public init(directory: String, model: String) throws(StoreError) {
    let path = "\(directory)/\(Self.fileName(of: model))"
    try StoreDirectory.prepare(directory)
    do {
      queue = try Self.schema.open(path, label: "glue-model")
      try queue.write { database in
        let name = try Data.fetchOne(database, sql: "SELECT name FROM model")
        if let name, name != Columns.text(model) {
          throw DamagedRow(text: "it holds the model \(String(decoding: name, as: UTF8.self))")
        }
        guard name == nil else { return }
        try database.execute(
          sql: "INSERT INTO model VALUES (?, ?, 0)",
          arguments: [Columns.text(model), Data(Self.encoded(CausalContext()))])
      }
    } catch {
      throw StoreError(error, "open", path)
    }
    self.path = path
  }

  /// The name of a model's file. Other characters than letters, digits, `-` and `_` are written as `%` and two hexadecimal digits.
  static func fileName(of model: String) -> String { "glue-model-\(StoreDirectory.escaped(model)).sqlite" }

  /// Everything that is stored; nil if nothing has been yet.
  ///
  /// - Throws: ``StoreError``.
  public func load() throws -> StoredReplica? {
    do { return try queue.read(Self.read) } catch { throw StoreError(error, "read", path) }
  }

  /// Writes a batch in one transaction. When it returns, it survives the loss of power.
  ///
  /// - Throws: ``StoreError``.
  public func write(_ batch: ReplicaBatch) throws {
    do {
      try queue.writeWithoutTransaction { database in
        try database.inTransaction(.immediate) {
          try Self.write(batch, to: database)
          return .commit
        }
        try? SQLiteStore.giveBackSpace(database)
      }
    } catch {
      throw StoreError(error, "write", path)
    }
  }

  /// Closes the database. Every later call fails. A store that is merely dropped is closed as well.
  ///
  /// - Throws: ``StoreError``.
  public func close() throws(StoreError) {
    do { try queue.close() } catch { throw StoreError(error, "close", path) }
  }
}

// MARK: Rows

extension SQLiteModelStore {
  private enum Kind {
    static let value: Int64 = 0
    static let amount: Int64 = 1
    static let element: Int64 = 2
    static let map: Int64 = 3
  }

  /// A context is written as a delta that covers it and has no entries.
  private static func encoded(_ context: CausalContext) -> [UInt8] {
    Delta(generation: context.generation, covered: context.seen, entries: []).encoded()
  }

  private static func write(_ batch: ReplicaBatch, to database: Database) throws {
    var replicas = Replicas(database)
    let insert = try database.cachedStatement(sql: "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    for entry in batch.upserts {
      let (kind, value, amount, folds): (Int64, Data?, Int64?, Int64?) =
        switch entry.content {
        case .value(let value): (Kind.value, Data(value.encoded()), nil, nil)
        case .amount(let sum, let folds): (Kind.amount, nil, sum, Int64(folds))
        case .element(let value): (Kind.element, Data(value.encoded()), nil, nil)
        case .map: (Kind.map, nil, nil, nil)
        }
      try insert.execute(arguments: [
        try replicas.number(of: entry.dot.replica), Columns.bits(entry.dot.counter), Columns.bits(entry.time),
        Columns.text(entry.path.text), kind, value, amount, folds,
      ])
    }
    let delete = try database.cachedStatement(sql: "DELETE FROM entry WHERE replica = ? AND counter = ?")
    for dot in batch.removed {
      try delete.execute(arguments: [try replicas.number(of: dot.replica), Columns.bits(dot.counter)])
    }
    try database.cachedStatement(sql: "UPDATE model SET context = ?, clock = ?").execute(arguments: [
      Data(encoded(batch.context)), Columns.bits(batch.clock),
    ])
  }

  private static func read(_ database: Database) throws -> StoredReplica? {
    guard let row = try Row.fetchOne(database, sql: "SELECT context, clock FROM model") else { return nil }
    var columns = RowReader(row)
    let covered: Delta
    do {
      covered = try columns.bytes().withUnsafeBytes { try Delta(encoded: $0) }
    } catch let error as WireError {
      throw DamagedRow(text: "the context: \(error)")
    }
    let context = CausalContext(generation: covered.generation ?? 0, seen: covered.covered)
    let clock = try columns.bits()
    guard !context.isEmpty else { return nil }
    var entries: [Entry] = []
    let rows = try Row.fetchCursor(
      database,
      sql: """
        SELECT endpoint, number, generation, counter, time, path, kind, value, amount, folds
        FROM entry JOIN replica ON replica.id = entry.replica
        """)
    while let row = try rows.next() { entries.append(try entry(row)) }
    return StoredReplica(context: context, entries: entries.sorted { $0.dot < $1.dot }, clock: clock)
  }

  private static func entry(_ row: Row) throws -> Entry {
    var columns = RowReader(row)
    let replica = ReplicaID(
      endpoint: EndpointID(try columns.bits()), number: try columns.bits(), generation: try generation(&columns))
    let dot = Dot(replica, try columns.bits())
    let time = try columns.bits()
    let text = try columns.text()
    if let problem = ModelPath.problem(with: text) { throw DamagedRow(text: "a path: \(problem)") }
    let path = try ModelPath(text)
    let kind = try columns.integer()
    let (value, amount, folds) = (
      try columns.optionalBytes(), try columns.optionalInteger(), try columns.optionalInteger()
    )
    let content: EntryContent
    switch (kind, value, amount, folds) {
    case (Kind.value, let bytes?, nil, nil): content = .value(try decoded(bytes))
    case (Kind.element, let bytes?, nil, nil): content = .element(try decoded(bytes))
    case (Kind.amount, nil, let sum?, let folds?):
      guard let folds = UInt32(exactly: folds) else { throw DamagedRow(text: "there are no \(folds) folds") }
      content = .amount(sum, folds: folds)
    case (Kind.map, nil, nil, nil): content = .map
    default: throw DamagedRow(text: "an entry of kind \(kind) has other columns")
    }
    return Entry(dot: dot, time: time, path: path, content: content)
  }

  private static func generation(_ columns: inout RowReader) throws -> UInt32 {
    let number = try columns.integer()
    guard let generation = UInt32(exactly: number) else { throw DamagedRow(text: "there is no generation \(number)") }
    return generation
  }

  private static func decoded(_ bytes: [UInt8]) throws -> ModelValue {
    do {
      return try bytes.withUnsafeBytes { try ModelValue(encoded: $0) }
    } catch let error as WireError {
      throw DamagedRow(text: "a value: \(error)")
    }
  }

  /// The numbers of replicas in the rows of their entries.
  private struct Replicas {
    private let database: Database
    private var numbers: [ReplicaID: Int64] = [:]

    init(_ database: Database) { self.database = database }

    mutating func number(of replica: ReplicaID) throws -> Int64 {
      if let known = numbers[replica] { return known }
      let key: StatementArguments = [
        Columns.bits(replica.endpoint.rawValue), Columns.bits(replica.number), Int64(replica.generation),
      ]
      try database.cachedStatement(
        sql: "INSERT INTO replica (endpoint, number, generation) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
      ).execute(arguments: key)
      let select = try database.cachedStatement(
        sql: "SELECT id FROM replica WHERE endpoint = ? AND number = ? AND generation = ?")
      guard let number = try Int64.fetchOne(select, arguments: key) else {
        throw DamagedRow(text: "a replica cannot be found")
      }
      numbers[replica] = number
      return number
    }
  }
}
