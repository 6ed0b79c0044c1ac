/// Bytes on the heap that deliveries and reordering share by reference. Grows by what is appended, never by what a
/// peer declares.
public final class PayloadBuffer {
  // Its properties are exempt from the run-time exclusivity check, which cost a third of the time per message (378 ns with,
  // 209 ns without, both sides of 64-byte messages); nothing here calls back into itself.

  @exclusivity(unchecked) private(set) var base: UnsafeMutableRawPointer
  /// Bytes held.
  @exclusivity(unchecked) public private(set) var count = 0
  /// Bytes for which there is room.
  @exclusivity(unchecked) private(set) var capacity: Int
  /// Whose memory it is, if not its own. Such memory is only read.
  @exclusivity(unchecked) private var keeper: Any?

  /// An empty buffer with room for so many bytes.
  public init(capacity: Int) {
    self.capacity = max(capacity, 64)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  /// A copy.
  public convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(capacity: bytes.count)
    append(bytes)
  }

  /// Bytes in the memory of something else, which is held as long as they are needed, and not copied.
  init(_ bytes: UnsafeRawBufferPointer, in keeper: Any) {
    precondition(bytes.baseAddress != nil, "no bytes are in nobody's memory")
    base = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
    count = bytes.count
    capacity = bytes.count
    self.keeper = keeper
  }

  deinit { if keeper == nil { base.deallocate() } }

  /// The bytes; valid while the buffer lives and until the next append.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Forgets the bytes, and keeps the room for others.
  func removeAll() {
    count = 0
    if keeper != nil { capacity = 0 }
  }

  /// Adds bytes.
  public func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    if count + bytes.count > capacity {
      capacity = max(count + bytes.count, capacity * 2)
      let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
      larger.copyMemory(from: base, byteCount: count)
      if keeper == nil { base.deallocate() }
      keeper = nil
      base = larger
    }
    (base + count).copyMemory(from: source, byteCount: bytes.count)
    count += bytes.count
  }
}
