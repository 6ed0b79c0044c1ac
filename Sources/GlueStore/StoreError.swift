import GRDB

/// A store that could not be opened, written or read: which file, what is wrong with it, and what is expected instead.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, for programs.
  public enum Kind: Hashable, Sendable {
    /// The path of the store, or of what it is to be made in, is no directory, or does not exist.
    case notADirectory
    /// This user may not read and write here.
    case notPermitted
    /// Another process, or another store of this one, has it open.
    case locked
    /// The file is not of Glue, or of another kind.
    case notACache
    /// The file was written by a newer version of Glue.
    case newerSchema
    /// The file is damaged.
    case corrupt
    /// The disk is full.
    case full
    /// The disk, or what stands for it, reported an error.
    case inputOutput
    /// A batch has a message of a stream that it was not told of.
    case unknownStream
    /// The store was closed.
    case closed
    /// SQLite refused for a reason that none of these names; ``StoreError/reason`` has its words.
    case other
  }

  /// What went wrong, for programs.
  public let kind: Kind
  /// What was tried: `open`, `write` or `read`.
  public let operation: String
  /// The file or directory it was tried on.
  public let path: String
  /// What is wrong.
  public let reason: String
  /// What is expected instead.
  public let expectation: String

  /// An error of `operation` on `path`.
  init(_ kind: Kind, _ operation: String, _ path: String, reason: String, expected expectation: String) {
    self.kind = kind
    self.operation = operation
    self.path = path
    self.reason = reason
    self.expectation = expectation
  }

  /// One line for people: `cannot open /var/cache/glue/glue-cache.sqlite: …; expected …`.
  public var description: String { "cannot \(operation) \(path): \(reason); expected \(expectation)" }
}

extension StoreError {
  /// What an error that was thrown while working on the file means.
  init(_ error: any Error, _ operation: String, _ path: String) {
    switch error {
    case let error as StoreError: self = error
    case let error as DatabaseError: self.init(error, operation, path)
    case let error as DamagedRow:
      self.init(.corrupt, operation, path, reason: "damaged: \(error.text)", expected: Self.intactFile)
    default: self.init(.other, operation, path, reason: "\(error)", expected: "a file that SQLite can use")
    }
  }

  private static let intactFile = "an intact file; move this one away to begin anew"

  private init(_ error: DatabaseError, _ operation: String, _ path: String) {
    // SQLite's words, and the numbers that its documentation explains.
    let words = "\(error.message ?? "no words") (SQLite error \(error.extendedResultCode.rawValue))"
    let (kind, reason, expectation): (Kind, String, String) =
      switch error.extendedResultCode {
      case .SQLITE_CONSTRAINT_FOREIGNKEY:
        (.unknownStream, "the batch has a message of an unknown stream", "each stream before its first message")
      case .SQLITE_IOERR_ACCESS, .SQLITE_CANTOPEN_ISDIR:
        (.notPermitted, words, "a regular file that this user may read and write")
      case let code:
        switch code.primaryResultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED: (.locked, "it is in use", "a store that no other process has open")
        case .SQLITE_NOTADB: (.notACache, "it is not an SQLite database", "a file of Glue, or no file of this name")
        case .SQLITE_CORRUPT: (.corrupt, "damaged: \(words)", Self.intactFile)
        case .SQLITE_FULL: (.full, "no room: \(words)", "free space on the disk")
        case .SQLITE_IOERR: (.inputOutput, words, "a disk that works")
        case .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_AUTH:
          (.notPermitted, words, "a regular file that this user may read and write")
        case .SQLITE_MISUSE: (.closed, "the store was closed", "an open store")
        default: (.other, words, "a file that SQLite can use")
        }
      }
    self.init(kind, operation, path, reason: reason, expected: expectation)
  }
}

/// A row that no version of Glue writes.
struct DamagedRow: Error {
  /// What is wrong with it.
  var text: String
}
