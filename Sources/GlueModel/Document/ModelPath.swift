/// Where something is in a model: levels separated by `/`, as in `lights/kitchen/on`.
///
/// No level is empty; there is no NUL and, as in topic names, no `+` and `#`. Paths are equal if their bytes are.
public struct ModelPath: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// A level has at most this many bytes.
  public static let levelBytes = 256
  /// A path has at most this many bytes.
  public static let pathBytes = 1_024
  /// A path has at most this many levels: what walks a model may recurse.
  public static let levelLimit = 32

  /// The whole model. It holds what is in it, and no value of its own.
  public static let root = ModelPath(unchecked: "")

  /// The path as text; empty for ``root``.
  public let text: String

  /// Checks a text.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)`` with the reason.
  public init(_ text: String) throws(ModelError) {
    if let problem = Self.problem(with: text) { throw .invalidPath(text, problem: problem) }
    self.text = text
  }

  /// A text that is known to be valid, or empty.
  package init(unchecked text: String) { self.text = text }

  /// Why a text is no path; nil if it is one.
  public static func problem(with text: String) -> String? {
    var text = text
    return text.withUTF8 { problem(with: UnsafeRawBufferPointer($0)) }
  }

  /// As for a text; the bytes are valid UTF-8.
  static func problem(with bytes: UnsafeRawBufferPointer) -> String? {
    if bytes.count > pathBytes { return "it has \(bytes.count) bytes, the limit is \(pathBytes)" }
    var levels = 0
    var length = 0
    for index in 0...bytes.count {
      let byte = index < bytes.count ? bytes[index] : UInt8(ascii: "/")
      switch byte {
      case UInt8(ascii: "/"):
        if length == 0 { return bytes.isEmpty ? "it is empty" : "it has an empty level" }
        if length > levelBytes { return "it has a level of \(length) bytes, the limit is \(levelBytes)" }
        levels += 1
        length = 0
      case 0: return "it contains NUL"
      case UInt8(ascii: "+"), UInt8(ascii: "#"): return "it contains a wildcard, + or #"
      default: length += 1
      }
    }
    return levels > levelLimit ? "it has \(levels) levels, the limit is \(levelLimit)" : nil
  }

  /// Whether this is the whole model.
  public var isRoot: Bool { text.utf8.isEmpty }

  /// The levels, from the top.
  public var levels: [String] {
    isRoot ? [] : text.utf8.split(separator: UInt8(ascii: "/")).map { String($0) ?? "" }
  }

  /// The path of something one level below.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)`` if the level is not valid, or the path too long with it.
  public func appending(_ level: String) throws(ModelError) -> ModelPath {
    if level.utf8.contains(UInt8(ascii: "/")) { throw .invalidPath(level, problem: "a level contains no /") }
    return try ModelPath(isRoot ? level : "\(text)/\(level)")
  }

  /// Whether a path is this one or below it.
  public func contains(_ other: ModelPath) -> Bool {
    if isRoot { return true }
    let mine = text.utf8
    let theirs = other.text.utf8
    guard theirs.starts(with: mine) else { return false }
    return theirs.count == mine.count
      || theirs[theirs.index(theirs.startIndex, offsetBy: mine.count)] == UInt8(ascii: "/")
  }

  /// Equal if the bytes are.
  public static func == (a: ModelPath, b: ModelPath) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }

  /// Orders by bytes.
  public static func < (a: ModelPath, b: ModelPath) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

  /// The path as text.
  public var description: String { text }
}

// MARK: Keys that are no levels

extension ModelPath {
  /// What stands for the characters that a level must not have, as in JSON Pointer (RFC 6901) and beyond it: `~0` is `~`,
  /// `~1` is `/`, `~2` is `+`, `~3` is `#`, `~4` is NUL. The empty key is a lone `~`.
  private static let escaped: [UInt8] = Array("~/+#\0".utf8)

  /// The level that stands for any text, for example for a key of a dictionary.
  public static func level(forKey key: String) -> String {
    if key.isEmpty { return "~" }
    guard key.utf8.contains(where: escaped.contains) else { return key }
    var bytes: [UInt8] = []
    for byte in key.utf8 {
      if let index = escaped.firstIndex(of: byte) {
        bytes += [UInt8(ascii: "~"), UInt8(ascii: "0") + UInt8(index)]
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The text that a level stands for. What ``level(forKey:)`` does not make stands for itself.
  public static func key(ofLevel level: String) -> String {
    if level == "~" { return "" }
    guard level.utf8.contains(UInt8(ascii: "~")) else { return level }
    var bytes: [UInt8] = []
    var isEscape = false
    for byte in level.utf8 {
      if isEscape {
        let index = Int(byte) - Int(UInt8(ascii: "0"))
        guard escaped.indices.contains(index) else { return level }
        bytes.append(escaped[index])
        isEscape = false
      } else if byte == UInt8(ascii: "~") {
        isEscape = true
      } else {
        bytes.append(byte)
      }
    }
    return isEscape ? level : String(decoding: bytes, as: UTF8.self)
  }
}
