import Foundation
import Glue

/// The file in which `glue sub --position` notes how far it has read what matches a filter.
struct PositionFile {
  let path: String
  let filter: String

  private struct Contents: Codable {
    var filter: String
    var position: ReadPosition
  }

  /// How often it is written while messages come. What was shown after the last time is shown again if the process is killed.
  static let interval = Duration.seconds(1)
  /// As many bytes as a position with all the streams that it can have, and some.
  private static let maximumBytes = 16 << 20

  /// What was noted; nothing if there is no such file, or it is empty.
  ///
  /// - Throws: ``CommandFailure`` if it cannot be read, holds something else, or is the position of another filter.
  func load() throws(CommandFailure) -> ReadPosition {
    guard FileManager.default.fileExists(atPath: path) else { return ReadPosition() }
    let bytes = try Files.contents(of: path, limit: Self.maximumBytes, which: "the largest position")
    guard !bytes.isEmpty else { return ReadPosition() }
    guard let contents = try? JSONDecoder().decode(Contents.self, from: Data(bytes)) else {
      throw CommandFailure(
        "\(path) is not a position that glue sub has written, or damaged; move it away to begin with all that is kept")
    }
    guard contents.filter == filter else {
      throw CommandFailure(
        "\(path) is the position of \(contents.filter), not of \(filter); use one file for each filter")
    }
    return contents.position
  }

  /// Writes it in place of what was there.
  func save(_ position: ReadPosition) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    let contents = Contents(filter: filter, position: position)
    try Files.write([UInt8](encoder.encode(contents)), to: name, in: directory, isSynced: true)
  }
}
