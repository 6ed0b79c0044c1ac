import GRDB
import GlueCore

extension SQLiteStore {
  /// In the file's header, so that `file` and others can tell what it is: "glue".
  static let applicationID = 0x676C_7565
  /// Grows with each change that an older version could not live with.
  static let schemaVersion = 1

  /// The tables. docs/store.md explains the columns.
  ///
  /// Messages are a table of their own key with an index rather than one without row IDs, because of those between 1 and 4 KiB: in the
  /// tree of an index each of them would take a page beside its row.
  private static let schema = """
    CREATE TABLE store (id INTEGER NOT NULL);
    INSERT INTO store VALUES (random());
    CREATE TABLE boot (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE stream (
      hash INTEGER PRIMARY KEY, publisher INTEGER NOT NULL, incarnation INTEGER NOT NULL,
      name BLOB NOT NULL, number INTEGER NOT NULL, topic BLOB NOT NULL, type BLOB, epoch INTEGER NOT NULL,
      history INTEGER NOT NULL, depth INTEGER);
    CREATE TABLE message (
      id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES stream (hash), sequence INTEGER NOT NULL,
      position INTEGER NOT NULL, time INTEGER NOT NULL, lifetime INTEGER, boot INTEGER NOT NULL,
      published INTEGER NOT NULL, published_wall INTEGER NOT NULL, stored_wall INTEGER NOT NULL,
      attributes INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE UNIQUE INDEX message_sequence ON message (stream, sequence);
    PRAGMA application_id = \(applicationID);
    PRAGMA user_version = \(schemaVersion);
    """

  /// Takes the lock, checks whose file it is, and makes the tables if it is new. Runs before anything else does.
  static func setUp(_ database: Database, path: String) throws {
    // One connection, so the index of the write-ahead log needs no shared memory, and the lock is held until the end:
    // https://sqlite.org/wal.html, "Use of WAL Without Shared-Memory". The first statement that reads takes it.
    try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
    let isNew = try isNew(database, path: path)
    // Pages can be given back to the file system (see giveBackSpace). Only a file without tables can be told so.
    if isNew { try database.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL") }
    try database.execute(sql: "PRAGMA journal_mode = WAL")
    // The log is synced before a transaction's commit returns, which makes it survive the loss of power. NORMAL would sync only when
    // the log is copied to the database, and lose the last transactions: https://sqlite.org/pragma.html#pragma_synchronous
    try database.execute(sql: "PRAGMA synchronous = FULL")
    // Apple's fsync leaves data in the drive's cache; these do not. Nothing elsewhere.
    try database.execute(sql: "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON")
    try database.execute(sql: "PRAGMA journal_size_limit = \(logBytes)")
    if isNew {
      try database.inTransaction(.immediate) {
        try database.execute(sql: schema)
        return .commit
      }
    }
  }

  static func readID(_ database: Database) throws -> StoreID {
    guard let id = try Int64.fetchOne(database, sql: "SELECT id FROM store") else {
      throw DamagedRow(text: "the store has no ID")
    }
    return StoreID(rawValue: UInt64(bitPattern: id))
  }

  static func countBytes(_ database: Database) throws -> Int {
    try Int.fetchOne(database, sql: "SELECT ifnull(sum(length(body)), 0) FROM message") ?? 0
  }

  /// Whether nothing has been stored in the file yet. Throws if it is not one of ours.
  private static func isNew(_ database: Database, path: String) throws -> Bool {
    let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
    let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    let objects = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    if application == 0, version == 0, objects == 0 { return true }
    guard application == applicationID, version > 0 else {
      throw StoreError(
        .notACache, "open", path, reason: "it is the database of another program",
        expected: "a cache of Glue, or no file of this name")
    }
    guard version <= schemaVersion else {
      throw StoreError(
        .newerSchema, "open", path, reason: "a newer version of Glue wrote it (schema \(version))",
        expected: "schema \(schemaVersion); use that version, or another directory")
    }
    return false
  }
}
