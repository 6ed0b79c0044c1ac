/// As much of JSON as a history needs: texts, whole numbers, null, and objects of them. RFC 8259.
enum JSONText {
  case null
  case number(Int64)
  case text(String)
  case object([(name: String, value: JSONText)])

  /// Objects may stand in objects so often, which is once more than a history has them.
  static let deepest = 3

  /// One value and nothing else.
  static func parse(_ bytes: ArraySlice<UInt8>) throws(HistoryError.Reason) -> JSONText {
    var parser = Parser(rest: bytes)
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.rest.isEmpty else { throw .init("more follows the object") }
    return value
  }

  private struct Parser {
    var rest: ArraySlice<UInt8>

    mutating func skipSpace() {
      rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }

    mutating func take(_ byte: Character) -> Bool {
      skipSpace()
      guard rest.first == byte.asciiValue else { return false }
      rest.removeFirst()
      return true
    }

    mutating func value(depth: Int) throws(HistoryError.Reason) -> JSONText {
      skipSpace()
      switch rest.first {
      case UInt8(ascii: "{"): return .object(try object(depth: depth))
      case UInt8(ascii: "\""): return .text(try text())
      case let byte? where "-0123456789".utf8.contains(byte): return .number(try number())
      case UInt8(ascii: "n") where rest.starts(with: "null".utf8):
        rest.removeFirst(4)
        return .null
      case nil: throw .init("it ends where a value should be")
      default: throw .init("a value is a text, a whole number, null or an object")
      }
    }

    mutating func object(depth: Int) throws(HistoryError.Reason) -> [(name: String, value: JSONText)] {
      guard depth < JSONText.deepest else { throw .init("objects stand too deep in objects") }
      rest.removeFirst()
      var fields: [(name: String, value: JSONText)] = []
      var names: Set<[UInt8]> = []
      if take("}") { return fields }
      repeat {
        skipSpace()
        guard rest.first == UInt8(ascii: "\"") else { throw .init("the name of a field is missing") }
        let name = try text()
        guard names.insert([UInt8](name.utf8)).inserted else { throw .init("it is there twice", field: name) }
        guard take(":") else { throw .init("there is no colon after the name", field: name) }
        do {
          fields.append((name, try value(depth: depth + 1)))
        } catch {
          throw error.field == nil ? .init(error.text, field: name) : error
        }
      } while take(",")
      guard take("}") else { throw .init("an object does not end") }
      return fields
    }

    mutating func number() throws(HistoryError.Reason) -> Int64 {
      let characters = rest.prefix { "-+.eE0123456789".utf8.contains($0) }
      rest = rest.dropFirst(characters.count)
      let text = String(decoding: characters, as: UTF8.self)
      // Only one way to write a number: no sign of plus, no leading zero, no -0.
      guard let number = Int64(text), String(number) == text else {
        throw .init("\(text.prefix(40)) is not a whole number of 64 bits")
      }
      return number
    }

    mutating func text() throws(HistoryError.Reason) -> String {
      rest.removeFirst()
      var bytes: [UInt8] = []
      while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "\""):
          guard let text = String(validating: bytes, as: UTF8.self) else { throw .init("a text is not UTF-8") }
          return text
        case UInt8(ascii: "\\"): bytes += try escape()
        case 0..<0x20: throw .init("a text has a control character")
        default: bytes.append(byte)
        }
      }
      throw .init("a text does not end")
    }

    mutating func escape() throws(HistoryError.Reason) -> [UInt8] {
      switch rest.popFirst() {
      case UInt8(ascii: "\""): return [UInt8(ascii: "\"")]
      case UInt8(ascii: "\\"): return [UInt8(ascii: "\\")]
      case UInt8(ascii: "/"): return [UInt8(ascii: "/")]
      case UInt8(ascii: "b"): return [0x08]
      case UInt8(ascii: "f"): return [0x0C]
      case UInt8(ascii: "n"): return [0x0A]
      case UInt8(ascii: "r"): return [0x0D]
      case UInt8(ascii: "t"): return [0x09]
      case UInt8(ascii: "u"):
        var code = try unit()
        if 0xD800..<0xDC00 ~= code, rest.starts(with: "\\u".utf8) {
          rest.removeFirst(2)
          let low = try unit()
          guard 0xDC00..<0xE000 ~= low else { throw .init("a surrogate stands alone") }
          code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw .init("a surrogate stands alone") }
        return [UInt8](String(Character(scalar)).utf8)
      default: throw .init("a backslash with nothing known behind it")
      }
    }

    mutating func unit() throws(HistoryError.Reason) -> UInt32 {
      let digits = rest.prefix(4)
      guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
        let unit = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
      else { throw .init("\\u wants four hexadecimal digits") }
      rest = rest.dropFirst(4)
      return unit
    }
  }
}
