/// Where a model is kept beyond the life of a process. `GlueStore` has one on SQLite.
///
/// The calls come one at a time, from a thread that does nothing else; they may block.
public protocol ModelStore: Sendable {
  /// Reads what is stored; `nil`: nothing yet.
  ///
  /// - Throws: whatever explains why it cannot be read. The model is then not opened.
  func load() throws -> StoredReplica?

  /// Writes a batch in one transaction, and returns when it is safe: all of it or nothing is there after a crash.
  ///
  /// - Throws: whatever explains why it is not, or not surely. It then comes again, with what came meanwhile.
  func write(_ batch: ReplicaBatch) throws
}
