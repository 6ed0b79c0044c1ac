import GRDB
import GlueCore

import struct Foundation.Data

/// How values are written in columns. SQLite's integers are signed, and its text ends at a NUL.
enum Columns {
  /// A number whose order does not matter, as its bits.
  static func bits(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }
  /// A number by which rows are found and sorted: shifted, so that the order of the signed values is that of the unsigned ones.
  static func ordered(_ value: UInt64) -> Int64 { Int64(bitPattern: value ^ 1 << 63) }
  /// Text as its bytes.
  static func text(_ value: String) -> Data { Data(value.utf8) }

  /// A policy as its code, and the depth if it has one.
  static func history(_ policy: HistoryPolicy) -> (code: Int64, depth: Int64?) {
    switch policy {
    case .none: (0, nil)
    case .untilExpiry: (1, nil)
    case .last(let count): (2, Int64(count))
    case .retained: (3, nil)
    }
  }
}

/// Reads a row column by column, and expects nothing of it: the file may be damaged, or not by us.
struct RowReader {
  private let row: Row
  private var index = 0

  init(_ row: Row) { self.row = row }

  mutating func optionalInteger() throws -> Int64? {
    switch next() {
    case .null: return nil
    case .int64(let value): return value
    case let other: throw DamagedRow(text: "\(other) where a number is expected")
    }
  }

  mutating func integer() throws -> Int64 {
    guard let value = try optionalInteger() else { throw DamagedRow(text: "a number is missing") }
    return value
  }

  mutating func bits() throws -> UInt64 { UInt64(bitPattern: try integer()) }
  mutating func optionalBits() throws -> UInt64? { try optionalInteger().map(UInt64.init(bitPattern:)) }
  mutating func ordered() throws -> UInt64 { try bits() ^ 1 << 63 }

  mutating func bytes() throws -> [UInt8] {
    guard case .blob(let data) = next() else { throw DamagedRow(text: "bytes are missing") }
    return [UInt8](data)
  }

  mutating func optionalBytes() throws -> [UInt8]? {
    switch next() {
    case .null: return nil
    case .blob(let data): return [UInt8](data)
    default: throw DamagedRow(text: "bytes are of another type")
    }
  }

  mutating func text() throws -> String {
    guard let text = try optionalText() else { throw DamagedRow(text: "text is missing") }
    return text
  }

  mutating func optionalText() throws -> String? {
    switch next() {
    case .null: return nil
    case .blob(let data):
      guard let text = String(validating: data, as: UTF8.self) else { throw DamagedRow(text: "text is not UTF-8") }
      return text
    default: throw DamagedRow(text: "text is of another type")
    }
  }

  mutating func history() throws -> HistoryPolicy {
    let (code, depth) = (try integer(), try optionalInteger())
    switch (code, depth) {
    case (0, nil): return .none
    case (1, nil): return .untilExpiry
    case (2, let depth?): return .last(Int(clamping: depth))
    case (3, nil): return .retained
    default: throw DamagedRow(text: "there is no history policy \(code)")
    }
  }

  private mutating func next() -> DatabaseValue.Storage {
    defer { index += 1 }
    return index < row.count ? (row[index] as DatabaseValue).storage : .null
  }
}
