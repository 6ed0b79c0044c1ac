/// A value of a model. A list is one value: it is replaced as a whole.
///
/// Values are equal if their canonical encodings are: texts by their bytes, `0.0` and `-0.0` differ, one NaN is as good as another,
/// and the integer 1 is not the number 1.0.
public enum ModelValue: Sendable {
  /// No value, written on purpose.
  case null
  /// True or false.
  case bool(Bool)
  /// A whole number.
  case int(Int64)
  /// A number.
  case double(Double)
  /// A text.
  case string(String)
  /// Bytes.
  case bytes([UInt8])
  /// Several values, in an order.
  case list([ModelValue])

  /// Lists are nested at most so deep: what walks a value may recurse.
  public static let depthLimit = 32
}

extension ModelValue {
  /// The boolean, if it is one.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The whole number, if it is one.
  public var int: Int64? { if case .int(let value) = self { value } else { nil } }
  /// The number, if it is one, whole or not.
  public var double: Double? {
    switch self {
    case .double(let value): value
    case .int(let value): Double(value)
    default: nil
    }
  }
  /// The text, if it is one.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The bytes, if it is some.
  public var bytes: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
  /// The values of a list, if it is one.
  public var list: [ModelValue]? { if case .list(let values) = self { values } else { nil } }
}

extension ModelValue: Hashable, Comparable {
  /// Whether the canonical encodings are the same.
  public static func == (a: ModelValue, b: ModelValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern || a.isNaN && b.isNaN
    case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
    case (.bytes(let a), .bytes(let b)): a == b
    case (.list(let a), .list(let b)): a == b
    case (.null, _), (.bool, _), (.int, _), (.double, _), (.string, _), (.bytes, _), (.list, _): false
    }
  }

  /// Hashes the canonical encoding.
  public func hash(into hasher: inout Hasher) { hasher.combine(encoded()) }

  /// Orders by canonical encoding: null, booleans, integers, numbers, texts, bytes, lists; those of a kind as one expects.
  public static func < (a: ModelValue, b: ModelValue) -> Bool { a.encoded().lexicographicallyPrecedes(b.encoded()) }
}

extension ModelValue: CustomStringConvertible, ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral
{
  /// As in a Swift program; bytes in hexadecimal.
  public var description: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .bytes(let value): "0x" + value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    case .list(let value): "\(value)"
    }
  }

  /// Null.
  public init(nilLiteral: ()) { self = .null }
  /// A boolean.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// A whole number.
  public init(integerLiteral value: Int64) { self = .int(value) }
  /// A number.
  public init(floatLiteral value: Double) { self = .double(value) }
  /// A text.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A list.
  public init(arrayLiteral elements: ModelValue...) { self = .list(elements) }
}
