import Foundation
import GlueCore
import Testing

/// JSON that keeps all 64 bits of its numbers.
enum JSON: Equatable, Decodable {
  case bool(Bool)
  case number(UInt64)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(UInt64.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([JSON].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSON].self))
    }
  }
}

extension JSON: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral
{
  init(integerLiteral value: UInt64) { self = .number(value) }
  init(stringLiteral value: String) { self = .string(value) }
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(arrayLiteral elements: JSON...) { self = .array(elements) }
  init(dictionaryLiteral elements: (String, JSON?)...) {
    self = .object(Dictionary(elements.compactMap { key, value in value.map { (key, $0) } }) { $1 })
  }
  init(_ value: some FixedWidthInteger) { self = .number(UInt64(value)) }
  init(hex bytes: some Sequence<UInt8>) { self = .string(bytes.map { $0.hex }.joined()) }

  /// The fields of two objects.
  static func + (a: JSON, b: JSON) -> JSON {
    guard case .object(let a) = a, case .object(let b) = b else { return a }
    return .object(a.merging(b) { $1 })
  }
}

extension UInt8 {
  /// Two lower-case digits.
  var hex: String { (self < 16 ? "0" : "") + String(self, radix: 16) }
}

extension [UInt8] {
  /// From hexadecimal digits.
  init(hex: String) {
    let digits = Array<UInt8>(hex.utf8)
    self = stride(from: 0, to: digits.count - 1, by: 2).map { index in
      UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16)!
    }
  }

  /// What the closure writes. Nil if it fails or needs more than the room.
  static func written(room: Int = 100_000, _ body: (inout WireWriter) -> Void) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0xEE, count: room)
    let count: Int? = bytes.withUnsafeMutableBytes { buffer in
      var writer = WireWriter(buffer)
      body(&writer)
      return writer.hasFailed ? nil : writer.count
    }
    guard let count else { return nil }
    return Array(bytes[..<count])
  }

  /// What the closure reads from the front.
  func read<Value, Failure: Error>(_ body: (inout WireReader) throws(Failure) -> Value) throws(Failure) -> Value {
    let result: Result<Value, Failure> = withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      do throws(Failure) { return .success(try body(&reader)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

/// One entry of docs/vectors.json.
struct Vector: Decodable, CustomTestStringConvertible {
  enum Kind: String, Decodable {
    case datagram, sealed, control, attributes, varint, streamHash, model, quorum, quorumState

    /// Messages of models and what they hold have tests of their own.
    var isOfTheCore: Bool { self != .model && self != .quorum && self != .quorumState }
  }
  var name: String
  var kind: Kind
  var hex: String
  var decoded: JSON?
  var error: String?
  /// False where a valid encoding is not the one that this implementation writes.
  var reencodes: Bool?
  // Of sealed datagrams: the network; and what a short header does not tell.
  var key: String?
  var networkID: UInt64?
  var sender: UInt64?
  var incarnation: UInt64?
  var keySalt: UInt64?
  var packetNumber: UInt64?
  var testDescription: String { name }

  static let all: [Vector] = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<4 { url.deleteLastPathComponent() }
    let data = try! Data(contentsOf: url.appendingPathComponent("docs/vectors.json"))
    return try! JSONDecoder().decode([Vector].self, from: data).filter(\.kind.isOfTheCore)
  }()
}
