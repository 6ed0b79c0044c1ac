/// Numbers for people: a fixed number of decimals, without Foundation's locale rules.
enum Format {
  /// For example `0.42ms`.
  static func milliseconds(_ duration: Duration) -> String { fixed(duration.inMilliseconds, 2) + "ms" }

  /// With so many decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let whole = scaled / Int64(scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + String(whole) }
    let fraction = String(scaled % Int64(scale))
    return "\(sign)\(whole)." + String(repeating: "0", count: decimals - fraction.count) + fraction
  }

  /// Right-aligned in a column.
  static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// Left-aligned in a column.
  static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// For example `64 B`, `64 KiB`.
  static func bytes(_ count: Int) -> String {
    if count >= 1_048_576, count % 1_048_576 == 0 { return "\(count / 1_048_576) MiB" }
    if count >= 1_024, count % 1_024 == 0 { return "\(count / 1_024) KiB" }
    return "\(count) B"
  }
}
