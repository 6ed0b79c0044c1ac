/// Cuts a message's body into fragments (docs/protocol.md §6.1). A body without bytes is one empty fragment.
public struct Fragmenter: Sequence, IteratorProtocol {
  /// A part of a body.
  public struct Fragment: Equatable, Sendable {
    /// First byte within the body.
    public var offset: Int
    /// Bytes in this fragment.
    public var length: Int
    /// Whether it is the first, and whether the last.
    public var flags: Unit.Flags
  }

  /// Bytes of body in one fragment. Three and their headers fill a 1,472-byte datagram (also a sealed one over IPv6), two
  /// one of 1,200; larger would waste more of the last datagram, smaller costs more headers.
  public static let defaultFragmentBytes = 456

  private let bodyBytes: Int
  private let fragmentBytes: Int
  private var offset = 0
  private var isDone = false

  /// The fragments of a body.
  public init(bodyBytes: Int, fragmentBytes: Int = Fragmenter.defaultFragmentBytes) {
    precondition(bodyBytes >= 0 && fragmentBytes > 0, "a body of \(bodyBytes) bytes in fragments of \(fragmentBytes)")
    self.bodyBytes = bodyBytes
    self.fragmentBytes = fragmentBytes
  }

  /// How many fragments a body takes.
  public static func count(bodyBytes: Int, fragmentBytes: Int = Fragmenter.defaultFragmentBytes) -> Int {
    Swift.max(1, (bodyBytes + fragmentBytes - 1) / fragmentBytes)
  }

  /// The next fragment.
  public mutating func next() -> Fragment? {
    guard !isDone else { return nil }
    let length = Swift.min(fragmentBytes, bodyBytes - offset)
    var flags: Unit.Flags = offset == 0 ? [.first] : []
    if offset + length == bodyBytes {
      flags.insert(.last)
      isDone = true
    }
    defer { offset += length }
    return Fragment(offset: offset, length: length, flags: flags)
  }
}
