import GlueCore

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension NetworkKey {
  /// Reads the base64 of 32 bytes; nil for anything else.
  public init?(base64 text: String) {
    // As strict as what ``base64`` writes: one key has one text.
    guard let data = Data(base64Encoded: text), data.base64EncodedString() == text else { return nil }
    self.init([UInt8](data))
  }

  /// The base64 of 32 random bytes: a new key, to be given to every endpoint of a network and to nobody else.
  public static func makeBase64() -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return Data(bytes).base64EncodedString()
  }
}

/// A file of network keys: one in each line, the first one seals. Empty lines and lines that begin with `#` are skipped.
struct NetworkKeyFile: Sendable {
  let path: String
  /// The name of the setting, for errors.
  let setting: String

  /// Larger files hold something else.
  private static let maximumBytes = 65_536
  static let expectation =
    "a file that this process can read, with one to \(Endpoint.Configuration.maximumNetworkKeys) lines that each hold "
    + "the base64 of 32 bytes, as `glue key` makes it"

  /// What tells one state of the file from another without reading it.
  struct Stamp: Equatable, Sendable {
    var modified: Date
    var size: UInt64
    var number: UInt64
  }

  /// Of the file itself where the path leads to it by links.
  private var attributes: [FileAttributeKey: Any]? {
    try? FileManager.default.attributesOfItem(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
  }

  /// Who beside its owner can read the file, and with it everything in the network; `nil` if nobody.
  var otherReaders: String? {
    guard let permissions = attributes?[.posixPermissions] as? UInt else { return nil }
    if permissions & 0o004 != 0 { return "every user of this host" }
    return permissions & 0o040 != 0 ? "its group" : nil
  }

  func stamp() -> Stamp? {
    guard let attributes, let modified = attributes[.modificationDate] as? Date, let size = attributes[.size] as? UInt64
    else { return nil }
    return Stamp(modified: modified, size: size, number: attributes[.systemFileNumber] as? UInt64 ?? 0)
  }

  func read() throws(ConfigurationError) -> [NetworkKey] {
    // No part of the content ever gets into an error.
    func refused(_ reason: String) -> ConfigurationError {
      ConfigurationError(name: setting, value: path, expectation: "\(Self.expectation); \(reason)")
    }
    if let size = stamp()?.size, size > Self.maximumBytes { throw refused("it has \(size) bytes") }
    guard let data = FileManager.default.contents(atPath: path) else { throw refused("it cannot be read") }
    var keys: [NetworkKey] = []
    for (index, line) in String(decoding: data, as: UTF8.self).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    ).enumerated() {
      let text = line.filter { !$0.isWhitespace }
      if text.isEmpty || text.hasPrefix("#") { continue }
      guard let key = NetworkKey(base64: text) else { throw refused("line \(index + 1) is none") }
      keys.append(key)
    }
    guard (1...Endpoint.Configuration.maximumNetworkKeys).contains(keys.count) else {
      throw refused("it has \(keys.count) keys")
    }
    return keys
  }
}
