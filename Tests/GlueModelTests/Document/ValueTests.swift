import GlueCore
import GlueModel
import Testing

@Suite struct ValueTests {
  /// Ascending.
  static let values: [ModelValue] = [
    .null, false, true, .int(.min), .int(-65_537), .int(-257), .int(-256), .int(-2), .int(-1), 0, 1, 255, 256,
    .int(.max),
    .double(-.infinity), -1.5, .double(-0.0), 0.0, .double(.leastNonzeroMagnitude), 1.5, .double(.infinity),
    .double(.nan),
    "", "a", "aa", "b", "é", .bytes([]), .bytes([0]), .bytes([1]), [], [.null], [1, 2], [1, ["x"]],
  ]

  @Test func valuesHaveOneEncodingInTheirOrder() throws {
    for value in Self.values {
      let bytes = value.encoded()
      #expect(bytes.count == value.encodedBytes)
      #expect(try bytes.withUnsafeBytes { try ModelValue(encoded: $0) } == value)
    }
    for (low, high) in zip(Self.values, Self.values.dropFirst()) where low.encoded().first != 0x40 {
      #expect(low < high, "\(low) \(high)")
      #expect(low != high)
    }
  }

  @Test func whatLooksTheSameIsNot() {
    #expect(ModelValue.double(0.0) != .double(-0.0))
    #expect(ModelValue.int(1) != .double(1))
    #expect(ModelValue.string("e\u{301}") != .string("é"))
    #expect(ModelValue.double(.nan) == .double(-.nan))
    #expect(ModelValue.double(.nan).hashValue == ModelValue.double(.signalingNaN).hashValue)
  }

  @Test(
    arguments: [
      [], [0x03], [0x00, 0x00], [0x19, 0x00], [0x1A, 0x00, 0x01], [0x17, 0xFF, 0xFF], [0x16, 0xFF, 0xFF],
      [0x20] + Array(repeating: 0xFF, count: 8),
      [0x28, 0, 0, 0], [0x28, 0xFF, 0xF8, 0, 0, 0, 0, 0, 1], [0x28, 0, 0, 0, 0, 0, 0, 0, 0], [0x30, 0xC3, 0x28],
      [0x40, 0x05, 0x00],
      [0x40, 0x81, 0x00, 0x00],
    ] as [[UInt8]])
  func otherEncodingsAreRefused(bytes: [UInt8]) {
    #expect(throws: WireError.self) { try bytes.withUnsafeBytes { _ = try ModelValue(encoded: $0) } }
  }

  @Test func listsAreNestedToALimit() throws {
    var value: ModelValue = 1
    for _ in 0..<ModelValue.depthLimit { value = [value] }
    let deepest = value.encoded()
    #expect(try deepest.withUnsafeBytes { try ModelValue(encoded: $0) } == value)
    let deeper = ModelValue.list([value]).encoded()
    #expect(throws: WireError.self) { try deeper.withUnsafeBytes { _ = try ModelValue(encoded: $0) } }
  }
}

@Suite struct PathTests {
  @Test(arguments: ["a", "a/b", "lights/kitchen/on", "ä/€", "$x"])
  func pathsAreLevels(text: String) throws {
    let path = try ModelPath(text)
    #expect(path.levels.joined(separator: "/") == text)
    #expect(path.contains(try path.appending("z")))
    #expect(ModelPath.root.contains(path))
    #expect(!path.contains(.root))
  }

  @Test(arguments: ["", "/", "a/", "/a", "a//b", "a\0", "a/+", "#", String(repeating: "a", count: 257)])
  func othersAreRefused(text: String) {
    #expect(throws: ModelError.self) { try ModelPath(text) }
  }

  @Test func pathsHaveLimits() throws {
    let levels = Array(repeating: "a", count: ModelPath.levelLimit).joined(separator: "/")
    #expect(throws: Never.self) { try ModelPath(levels) }
    #expect(throws: ModelError.self) { try ModelPath(levels + "/a") }
    let long = Array(repeating: String(repeating: "a", count: 255), count: 4).joined(separator: "/")
    #expect(throws: Never.self) { try ModelPath(long + "a") }
    #expect(throws: ModelError.self) { try ModelPath(long + "/a") }
    #expect(!(try ModelPath("ab").contains(try ModelPath("abc"))))
  }

  @Test(arguments: ["", "a", "a/b", "~", "~1", "+#~/\0", "ä/"])
  func everyKeyHasALevel(key: String) throws {
    let level = ModelPath.level(forKey: key)
    _ = try ModelPath(level)
    #expect(ModelPath.key(ofLevel: level) == key)
  }
}
