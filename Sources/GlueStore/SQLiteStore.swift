import GRDB
import GlueCore
import Synchronization

/// What a cache holds, durably: an SQLite database in a directory of its own (docs/store.md).
///
/// Calls block until the disk is done, and may come from any thread; they are served one at a time. One process at a time has a store
/// open, by one object.
public final class SQLiteStore: MessageStore {
  /// The name of the database in its directory. SQLite puts files beside it whose names begin so.
  public static let fileName = "glue-cache.sqlite"

  /// The database file.
  public let path: String
  /// Made up when the database was.
  public let id: StoreID
  let queue: DatabaseQueue
  private let bytes: Atomic<Int>

  /// Opens the store in a directory, and makes either if it is missing; the directory's parent must exist. Fails at once if somebody
  /// has it open.
  public init(directory: String) throws(StoreError) {
    let path = directory + "/" + Self.fileName
    try StoreDirectory.prepare(directory)
    do {
      queue = try Self.schema.open(path, label: "glue-store")
      id = try queue.writeWithoutTransaction(Self.readID)
      bytes = Atomic(try queue.writeWithoutTransaction(Self.countBytes))
    } catch {
      throw StoreError(error, "open", path)
    }
    self.path = path
  }

  /// Bytes of the bodies of all messages that are stored. Costs nothing.
  public var byteCount: Int { bytes.load(ordering: .relaxed) }

  /// Makes all writes of a batch, or none if it throws. When it returns, they survive the loss of power.
  ///
  /// After a failure the store can be used as before, and holds what it held; once there is room again, later batches succeed. One thing
  /// cannot be known: if the disk failed while it synced, and the host dies before the next successful write, the batch may be there
  /// after all.
  /// - Parameter clock: now, on the clock that the messages' publication is dated by.
  public func write(_ batch: StoreBatch, clock: StoreClock) throws(StoreError) {
    guard !batch.writes.isEmpty else { return }
    let change = try perform("write") { database in
      let change = try Self.write(batch, clock: clock, to: database)
      try? Self.giveBackSpace(database)  // changes nothing of what is stored, and is tried again after the next batch
      return change
    }
    bytes.wrappingAdd(change, ordering: .relaxed)
  }

  /// Everything that is stored and has not expired. What has, and what can no longer be dated, is deleted.
  /// - Parameter now: the clock that the messages are dated by.
  public func load(now: StoreClock) throws(StoreError) -> StoredContents {
    let (contents, change) = try perform("read") { database in
      let (contents, leftovers) = try Self.read(database, now: now)
      // A full disk must not keep anybody from reading: what cannot be deleted now is found again by the next load.
      let change = (try? Self.delete(leftovers, from: database)) ?? 0
      return (contents, change)
    }
    bytes.wrappingAdd(change, ordering: .relaxed)
    return contents
  }

  /// Everything that is stored and lives, dated by this host's clocks now.
  public func load() throws -> StoredContents { try load(now: .current()) }

  /// Makes all writes of a batch, or none if it throws; dates them by this host's clocks now.
  public func write(_ batch: StoreBatch) throws { try write(batch, clock: .current()) }

  /// Closes the database. Every later call fails. A store that is merely dropped is closed as well.
  public func close() throws(StoreError) {
    do { try queue.close() } catch { throw StoreError(error, "close", path) }
  }

  func perform<Result>(_ operation: String, _ body: (Database) throws -> Result) throws(StoreError) -> Result {
    do { return try queue.writeWithoutTransaction(body) } catch { throw StoreError(error, operation, path) }
  }
}
