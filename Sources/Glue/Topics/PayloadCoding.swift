#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// How values become payloads and payloads values.
public protocol PayloadCoding: Sendable {
  /// The payload of a value.
  func encode<Value: Encodable>(_ value: Value) throws -> [UInt8]
  /// The value of a payload.
  func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value
}

/// Values as JSON: readable for programs in every language, and for people.
public struct JSONCoding: PayloadCoding {
  /// The coding.
  public init() {}

  /// The value as JSON, its keys sorted.
  ///
  /// - Throws: `EncodingError` if the value has no JSON form.
  public func encode<Value: Encodable>(_ value: Value) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(value))
  }

  /// The value of a JSON text.
  ///
  /// - Throws: `DecodingError` if it is not the JSON form of such a value.
  public func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }
}
