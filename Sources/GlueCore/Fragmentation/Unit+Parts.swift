/// Cutting messages (docs/protocol.md §6.1): a message is one unit, or several that hold some of its fragments each.
extension Unit {
  /// Some of the fragments as a unit of their own, as many as fit; nil if none does.
  ///
  /// - Parameters:
  ///   - skipped: fragments to leave out at the beginning; fewer than there are.
  ///   - count: most fragments to take.
  ///   - maximumBytes: most bytes to take, header included.
  public func part(skipping skipped: UInt64, atMost count: UInt64, maximumBytes: Int) -> Unit? {
    precondition(skipped < fragments, "\(skipped) of \(fragments) fragments left out")
    var part = self
    part.removeFirst(skipped)
    let rest = part.body
    part.flags.remove(.last)
    // A header without `last` is never the shorter one.
    let space = maximumBytes - part.headerBytes(length: rest.count)
    if part.fragments <= count, rest.count <= space {
      part.flags = part.flags.union(flags.intersection(.last))
      return part
    }
    let taken = min(count, UInt64(max(0, space) / Self.fragmentBytes))
    guard taken > 0 else { return nil }
    part.body = UnsafeRawBufferPointer(rebasing: rest[..<(Int(taken) * Self.fragmentBytes)])
    return part
  }

  /// Leaves out some of the fragments, but not all.
  mutating func removeFirst(_ fragments: UInt64) {
    guard fragments > 0 else { return }
    body = UnsafeRawBufferPointer(rebasing: body[(Int(fragments) * Self.fragmentBytes)...])
    flags = flags.intersection(.last)
  }
}
