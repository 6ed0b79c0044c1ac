import GRDB
import GlueCore

extension SQLiteStore {
  /// What the file is: "glue", and its tables.
  static let schema = FileSchema(applicationID: 0x676C_7565, version: 1, kind: "cache", tables: tables)

  /// The tables. docs/store.md explains the columns.
  ///
  /// Messages are a table of their own key with an index rather than one without row IDs, because of those between 1 and 4 KiB: in the
  /// tree of an index each of them would take a page beside its row.
  private static let tables = """
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
    """

  static func readID(_ database: Database) throws -> StoreID {
    guard let id = try Int64.fetchOne(database, sql: "SELECT id FROM store") else {
      throw DamagedRow(text: "the store has no ID")
    }
    return StoreID(rawValue: UInt64(bitPattern: id))
  }

  static func countBytes(_ database: Database) throws -> Int {
    try Int.fetchOne(database, sql: "SELECT ifnull(sum(length(body)), 0) FROM message") ?? 0
  }
}
