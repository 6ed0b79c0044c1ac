import GRDB

// Pages that messages leave behind are used again by later ones, so a store that is in balance does not grow. When it holds less than
// before, this lets the file shrink.
extension SQLiteStore {
  /// How long the write-ahead log may stay when it has been copied to the database. A batch can make it longer for a while.
  static let logBytes = 8 << 20
  /// Free pages that are kept in any case, 4 MiB: growing again costs more than they do.
  static let sparePages = 1_024
  /// Pages that are given back after one batch at most, 4 MiB: it must not take long.
  static let pagesGivenBack = 1_024

  /// Gives pages back to the file system when more than half of the file is free.
  static func giveBackSpace(_ database: Database) throws {
    let free = try Int.fetchOne(database.cachedStatement(sql: "PRAGMA freelist_count")) ?? 0
    guard free > sparePages else { return }
    let pages = try Int.fetchOne(database.cachedStatement(sql: "PRAGMA page_count")) ?? 0
    guard free > pages / 2 else { return }
    // The statement does a page per step, in one transaction.
    try database.execute(sql: "PRAGMA incremental_vacuum(\(min(free - sparePages, pagesGivenBack)))")
  }

  /// Makes the disk full, for tests: the file may have no more pages than this.
  package func limitPages(to count: Int) throws(StoreError) {
    try perform("write") { try $0.execute(sql: "PRAGMA max_page_count = \(count)") }
  }

  /// A setting of the database, for tests.
  package func setting(_ pragma: String) throws(StoreError) -> String? {
    try perform("read") { try String.fetchOne($0, sql: "PRAGMA \(pragma)") }
  }
}
