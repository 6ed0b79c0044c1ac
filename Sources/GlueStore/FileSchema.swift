import GRDB

/// What an SQLite file of ours is, and how it is opened.
struct FileSchema {
  /// In the file's header, so that `file` and others can tell what it is.
  let applicationID: Int
  /// Grows with each change that an older version could not live with.
  let version: Int
  /// For people.
  let kind: String
  /// SQL that makes the tables.
  let tables: String

  /// Opens a file, and makes it if it is missing.
  ///
  /// - Parameter label: What the connection is called where SQLite names it.
  func open(_ path: String, label: String) throws -> DatabaseQueue {
    StoreDirectory.makeFile(path)
    var configuration = Configuration()
    configuration.label = label
    configuration.prepareDatabase { try setUp($0, path: path) }
    return try DatabaseQueue(path: path, configuration: configuration)
  }

  /// Takes the lock, checks whose file it is, and makes the tables if it is new. Runs before anything else does.
  private func setUp(_ database: Database, path: String) throws {
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
    try database.execute(sql: "PRAGMA journal_size_limit = \(SQLiteStore.logBytes)")
    if isNew {
      try database.inTransaction(.immediate) {
        try database.execute(sql: tables)
        try database.execute(sql: "PRAGMA application_id = \(applicationID); PRAGMA user_version = \(version)")
        return .commit
      }
    }
  }

  /// Whether nothing has been stored in the file yet. Throws if it is not one of ours.
  private func isNew(_ database: Database, path: String) throws -> Bool {
    let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
    let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    let objects = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    if application == 0, found == 0, objects == 0 { return true }
    guard application == applicationID, found > 0 else {
      throw StoreError(
        .notACache, "open", path, reason: "it is the database of another program, or of another kind",
        expected: "a \(kind) of Glue, or no file of this name")
    }
    guard found <= version else {
      throw StoreError(
        .newerSchema, "open", path, reason: "a newer version of Glue wrote it (schema \(found))",
        expected: "schema \(version); use that version, or another directory")
    }
    return false
  }
}
