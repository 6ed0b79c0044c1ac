/// Every buffer stays within its cap.
package struct BufferCaps {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing sampled yet.
  package init() {}

  /// A life holds so many bytes, and may hold so many.
  package mutating func sampled(_ life: Life, bytes: Int, cap: Int) -> String? {
    checks += 1
    return bytes > cap ? "life \(life) holds \(bytes) bytes; its caps add up to \(cap)" : nil
  }
}
