import ArgumentParser
import Glue

/// Reads a length of time: a number and `us`, `ms`, `s`, `m` or `h`, for example `500ms`, `1.5s`, `2m`.
func parseDuration(_ text: String) throws -> Duration {
  let units: [(suffix: String, nanoseconds: Double)] = [
    ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9),
  ]
  for unit in units where text.hasSuffix(unit.suffix) {
    guard let number = plainNumber(text.dropLast(unit.suffix.count)) else { continue }
    let nanoseconds = number * unit.nanoseconds
    guard nanoseconds <= 1e18 else { break }
    return .nanoseconds(Int64(nanoseconds.rounded()))
  }
  throw ValidationError("a duration is a number and a unit, for example 500ms, 10s or 2m")
}

/// Reads a number of bytes: plain, or with `KB`, `MB`, `GB` (powers of 1,000) or `KiB`, `MiB`, `GiB` (powers of 1,024).
func parseByteCount(_ text: String) throws -> Int {
  let units: [(suffix: String, bytes: Double)] = [
    ("KiB", 1_024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1),
    ("", 1),
  ]
  for unit in units where text.hasSuffix(unit.suffix) {
    guard let number = plainNumber(text.dropLast(unit.suffix.count)) else { continue }
    let bytes = number * unit.bytes
    guard bytes <= 1e15, bytes == bytes.rounded() else { break }
    return Int(bytes)
  }
  throw ValidationError("a size is a number of bytes, for example 64, 64KiB or 16MB")
}

/// Reads a rate in messages per second: above 0, at most a million.
func parseRate(_ text: String) throws -> Double {
  guard let rate = plainNumber(text[...]), rate > 0, rate <= 1_000_000 else {
    throw ValidationError("a rate is a number of messages per second above 0 and up to 1000000")
  }
  return rate
}

/// Reads a whole number of at least 1.
func parsePositive(_ text: String) throws -> Int {
  guard let number = Int(text), number > 0 else {
    throw ValidationError("expected a whole number of at least 1 and at most \(Int.max)")
  }
  return number
}

/// Reads what a subscription wants of what was published before: a number of messages, `retained` or `all`.
func parseHistoryRequest(_ text: String) throws -> HistoryRequest {
  if text == "all" { return .all }
  if text == "retained" { return .retained }
  if text == "none" { return .none }
  guard let count = Int(text), count >= 0 else {
    throw ValidationError("expected a number of messages, retained, all, or none")
  }
  return count == 0 ? .none : .last(count)
}

/// Reads what is kept of a topic: a number of messages, `expiry` or `none`.
func parseHistoryPolicy(_ text: String) throws -> HistoryPolicy {
  switch text {
  case "none": return .none
  case "expiry": return .untilExpiry
  default:
    guard let count = Int(text), count > 0 else {
      throw ValidationError("expected expiry, none, or a number of messages of at least 1")
    }
    return .last(count)
  }
}

/// Digits with at most one point between or after them; no sign, exponent or space.
private func plainNumber(_ text: Substring) -> Double? {
  guard text.first?.isASCIIDigit == true, text.allSatisfy({ $0.isASCIIDigit || $0 == "." }) else { return nil }
  return Double(text)
}

extension Character {
  fileprivate var isASCIIDigit: Bool { self >= "0" && self <= "9" }
}

extension Duration {
  /// The length in seconds.
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }

  /// The length in milliseconds.
  var inMilliseconds: Double { inSeconds * 1_000 }
}

/// Checks the name of a model before anything is made for it.
func checkModelName(_ name: String) throws {
  guard let problem = Model.problem(withName: name) else { return }
  throw ValidationError("“\(name.printable)” names no model: \(problem); expected a topic name")
}
