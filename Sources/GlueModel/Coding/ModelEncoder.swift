/// Makes what a path of a model shows of a `Codable` value: keyed containers become maps, single values become values, and unkeyed
/// containers one list, which is replaced as a whole. Bytes (`[UInt8]`) are bytes.
///
/// Keys become levels (``ModelPath/level(forKey:)``). What is keyed within a list becomes a list of keys and values in turn, ascending by key.
public struct ModelEncoder {
  /// The encoder.
  public init() {}

  /// What a value is in a model.
  ///
  /// - Throws: `EncodingError` if it has no such form.
  public func encode(_ value: some Encodable) throws -> ModelNode {
    let part = EncodedPart()
    try part.encode(value, at: [])
    return part.node
  }
}

/// A part of a value under construction: containers are references, as `Encoder` wants them.
private final class EncodedPart {
  enum Content {
    case nothing
    case value(ModelValue)
    case list([EncodedPart])
    case map([(key: String, part: EncodedPart)])
  }

  var content = Content.nothing

  func encode(_ value: some Encodable, at path: [any CodingKey]) throws {
    if let bytes = value as? [UInt8] {
      content = .value(.bytes(bytes))
    } else {
      try value.encode(to: PartEncoder(part: self, codingPath: path))
      // Who writes nothing has nothing: a map without keys.
      if case .nothing = content { content = .map([]) }
    }
  }

  /// The part at a key; of one that is written twice the later.
  func part(at key: String) -> EncodedPart {
    var parts: [(key: String, part: EncodedPart)] = if case .map(let parts) = content { parts } else { [] }
    let part = EncodedPart()
    if let index = parts.firstIndex(where: { $0.key == key }) {
      parts[index].part = part
    } else {
      parts.append((key, part))
    }
    content = .map(parts)
    return part
  }

  func appendPart() -> EncodedPart {
    var parts: [EncodedPart] = if case .list(let parts) = content { parts } else { [] }
    let part = EncodedPart()
    parts.append(part)
    content = .list(parts)
    return part
  }

  private static func sorted(_ parts: [(key: String, part: EncodedPart)]) -> [(key: String, part: EncodedPart)] {
    parts.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
  }

  var node: ModelNode {
    guard case .map(let parts) = content else { return .value(value) }
    let levels = parts.map { (key: ModelPath.level(forKey: $0.key), part: $0.part) }
    return .map(Self.sorted(levels).map { ModelNode.Child(level: $0.key, node: $0.part.node) })
  }

  private var value: ModelValue {
    switch content {
    case .nothing: .null
    case .value(let value): value
    case .list(let parts): .list(parts.map(\.value))
    case .map(let parts): .list(Self.sorted(parts).flatMap { [.string($0.key), $0.part.value] })
    }
  }
}

private struct PartEncoder: Encoder {
  let part: EncodedPart
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .map = part.content {} else { part.content = .map([]) }
    return KeyedEncodingContainer(KeyedPart<Key>(part: part, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .list = part.content {} else { part.content = .list([]) }
    return UnkeyedPart(part: part, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { SinglePart(part: part, codingPath: codingPath) }
}

private struct KeyedPart<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let part: EncodedPart
  let codingPath: [any CodingKey]

  mutating func encodeNil(forKey key: Key) { part.part(at: key.stringValue).content = .value(.null) }

  mutating func encode(_ value: some Encodable, forKey key: Key) throws {
    try part.part(at: key.stringValue).encode(value, at: codingPath + [key])
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<
    Nested
  > {
    encoder(forKey: key).container(keyedBy: Nested.self)
  }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    encoder(forKey: key).unkeyedContainer()
  }
  mutating func superEncoder() -> any Encoder { encoder(forKey: PartKey(stringValue: "super")) }
  mutating func superEncoder(forKey key: Key) -> any Encoder { encoder(forKey: key) }

  private func encoder(forKey key: any CodingKey) -> PartEncoder {
    PartEncoder(part: part.part(at: key.stringValue), codingPath: codingPath + [key])
  }
}

private struct UnkeyedPart: UnkeyedEncodingContainer {
  let part: EncodedPart
  let codingPath: [any CodingKey]

  var count: Int { if case .list(let parts) = part.content { parts.count } else { 0 } }

  mutating func encodeNil() { part.appendPart().content = .value(.null) }

  mutating func encode(_ value: some Encodable) throws {
    let key = PartKey(intValue: count)
    try part.appendPart().encode(value, at: codingPath + [key])
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type) -> KeyedEncodingContainer<Nested> {
    encoder().container(keyedBy: Nested.self)
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
  mutating func superEncoder() -> any Encoder { encoder() }

  private func encoder() -> PartEncoder {
    let key = PartKey(intValue: count)
    return PartEncoder(part: part.appendPart(), codingPath: codingPath + [key])
  }
}

private struct SinglePart: SingleValueEncodingContainer {
  let part: EncodedPart
  let codingPath: [any CodingKey]

  mutating func encodeNil() { part.content = .value(.null) }
  mutating func encode(_ value: Bool) { part.content = .value(.bool(value)) }
  mutating func encode(_ value: String) { part.content = .value(.string(value)) }
  mutating func encode(_ value: Double) { part.content = .value(.double(value)) }
  mutating func encode(_ value: Float) { part.content = .value(.double(Double(value))) }
  mutating func encode(_ value: Int) throws { try encode(integer: value) }
  mutating func encode(_ value: Int8) throws { try encode(integer: value) }
  mutating func encode(_ value: Int16) throws { try encode(integer: value) }
  mutating func encode(_ value: Int32) throws { try encode(integer: value) }
  mutating func encode(_ value: Int64) throws { try encode(integer: value) }
  mutating func encode(_ value: UInt) throws { try encode(integer: value) }
  mutating func encode(_ value: UInt8) throws { try encode(integer: value) }
  mutating func encode(_ value: UInt16) throws { try encode(integer: value) }
  mutating func encode(_ value: UInt32) throws { try encode(integer: value) }
  mutating func encode(_ value: UInt64) throws { try encode(integer: value) }
  mutating func encode(_ value: some Encodable) throws { try part.encode(value, at: codingPath) }

  private func encode(integer: some BinaryInteger) throws {
    guard let value = Int64(exactly: integer) else {
      throw EncodingError.invalidValue(
        integer,
        EncodingError.Context(
          codingPath: codingPath, debugDescription: "\(integer) does not fit into 64 bits with a sign"))
    }
    part.content = .value(.int(value))
  }
}

/// A key that a value did not name.
struct PartKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(stringValue: String) {
    self.stringValue = stringValue
    intValue = nil
  }

  init(intValue: Int) {
    stringValue = "\(intValue)"
    self.intValue = intValue
  }
}
