import Foundation
import Glue

/// The file in which `glue sub --position` notes how far it has read.
struct PositionFile {
  let path: String
  /// How often it is written while messages come. What was shown after the last time is shown again if the process is killed.
  static let interval = Duration.seconds(1)
  /// As many bytes as a position with all the streams that it can have, and some.
  private static let maximumBytes = 16 << 20

  /// What was noted; nothing if there is no such file.
  ///
  /// - Throws: ``CommandFailure`` if it cannot be read, or holds something else.
  func load() throws(CommandFailure) -> ReadPosition {
    guard FileManager.default.fileExists(atPath: path) else { return ReadPosition() }
    let bytes = try Files.contents(of: path, limit: Self.maximumBytes, which: "the largest position")
    do {
      return try JSONDecoder().decode(ReadPosition.self, from: Data(bytes))
    } catch {
      throw CommandFailure("\(path) is not a position that glue sub has written: \(Self.reason(error))")
    }
  }

  /// Writes it in place of what was there.
  func save(_ position: ReadPosition) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    try Files.write([UInt8](encoder.encode(position)), to: name, in: directory)
  }

  private static func reason(_ error: any Error) -> String {
    switch error as? DecodingError {
    case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context):
      context.debugDescription
    default: "\(error)"
    }
  }
}
