/// Makes `Codable` values of what a path of a model shows: the reverse of ``ModelEncoder``. A counter is a number, a set is a list, and of values that were
/// written concurrently the latest is taken.
public struct ModelDecoder {
  /// The decoder.
  public init() {}

  /// The value of what a path shows.
  ///
  /// - Throws: `DecodingError` if it is no such value.
  public func decode<Value: Decodable>(_ type: Value.Type, from node: ModelNode) throws -> Value {
    try PartDecoder(node: node, codingPath: []).decode(type)
  }
}

private struct PartDecoder: Decoder {
  let node: ModelNode
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    var parts: [String: ModelNode] = [:]
    switch node {
    case .map(let children):
      for child in children { parts[ModelPath.key(ofLevel: child.level)] = child.node }
    case .value(.list(let values)) where values.count.isMultiple(of: 2):
      for index in stride(from: 0, to: values.count, by: 2) {
        guard case .string(let key) = values[index] else { throw mismatch(type) }
        parts[key] = .value(values[index + 1])
      }
    case .value, .concurrent, .counter, .set: throw mismatch(type)
    }
    return KeyedDecodingContainer(KeyedParts<Key>(parts: parts, decoder: self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { UnkeyedParts(values: try list(), decoder: self) }
  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  private func list() throws -> [ModelValue] {
    if case .set(let elements) = node { return elements }
    guard case .list(let values)? = value else { throw mismatch([ModelValue].self) }
    return values
  }

  private var value: ModelValue? {
    switch node {
    case .value(let value): value
    case .concurrent(let values): values.first
    case .counter(let sum): .int(sum)
    case .set, .map: nil
    }
  }

  func mismatch(_ type: Any.Type) -> DecodingError {
    .typeMismatch(type, DecodingError.Context(codingPath: codingPath, debugDescription: "the model has \(node) here"))
  }

  private func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws -> Integer {
    guard case .int(let number)? = value, let integer = Integer(exactly: number) else { throw mismatch(type) }
    return integer
  }

  func at(_ key: any CodingKey, _ node: ModelNode) -> PartDecoder {
    PartDecoder(node: node, codingPath: codingPath + [key])
  }
}

extension PartDecoder: SingleValueDecodingContainer {
  func decodeNil() -> Bool { value == .null }

  func decode(_ type: Bool.Type) throws -> Bool {
    guard case .bool(let value)? = value else { throw mismatch(type) }
    return value
  }

  func decode(_ type: String.Type) throws -> String {
    guard case .string(let text)? = value else { throw mismatch(type) }
    return text
  }

  func decode(_ type: Double.Type) throws -> Double {
    switch value {
    case .double(let value): return value
    case .int(let value): return Double(value)
    case .null, .bool, .string, .bytes, .list, nil: throw mismatch(type)
    }
  }

  func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
  func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if case .bytes(let bytes)? = value, let value = bytes as? Value { return value }
    return try Value(from: self)
  }
}

private struct KeyedParts<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let parts: [String: ModelNode]
  let decoder: PartDecoder
  var codingPath: [any CodingKey] { decoder.codingPath }
  /// Ascending: nothing depends on the order of a dictionary.
  var allKeys: [Key] { parts.keys.sorted().compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { parts[key.stringValue] != nil }
  func decodeNil(forKey key: Key) throws -> Bool { try part(at: key).decodeNil() }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try part(at: key).decode(type) }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<
    Nested
  > {
    try part(at: key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try part(at: key).unkeyedContainer()
  }
  func superDecoder() throws -> any Decoder { try part(at: PartKey(stringValue: "super")) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try part(at: key) }

  private func part(at key: any CodingKey) throws -> PartDecoder {
    guard let node = parts[key.stringValue] else {
      throw DecodingError.keyNotFound(
        key,
        DecodingError.Context(codingPath: codingPath, debugDescription: "the model has nothing at “\(key.stringValue)”")
      )
    }
    return decoder.at(key, node)
  }
}

private struct UnkeyedParts: UnkeyedDecodingContainer {
  let values: [ModelValue]
  let decoder: PartDecoder
  var currentIndex = 0
  var codingPath: [any CodingKey] { decoder.codingPath }
  var count: Int? { values.count }
  var isAtEnd: Bool { currentIndex == values.count }

  init(values: [ModelValue], decoder: PartDecoder) {
    self.values = values
    self.decoder = decoder
  }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd, values[currentIndex] == .null else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try part().decode(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
    let container = try part().container(keyedBy: type)
    currentIndex += 1
    return container
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    let container = try part().unkeyedContainer()
    currentIndex += 1
    return container
  }

  mutating func superDecoder() throws -> any Decoder {
    let part = try part()
    currentIndex += 1
    return part
  }

  private func part() throws -> PartDecoder {
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        ModelValue.self,
        DecodingError.Context(codingPath: codingPath, debugDescription: "the list ends after \(values.count) values"))
    }
    return decoder.at(PartKey(intValue: currentIndex), .value(values[currentIndex]))
  }
}
