/// Buffers of messages that were passed on, to be filled again once nobody else holds them. Freed memory of this size goes back to the system, and is
/// slow to come from there: a subscriber took 23.5 µs for a message of 64 KiB, and 18.0 with an allocator that kept it.
final class SpareBuffers {
  @exclusivity(unchecked) private var buffers: [PayloadBuffer] = []

  /// As many as are mostly in use at a time: those of one batch of datagrams, in all streams of an endpoint together.
  private static let limit = 8
  /// Larger ones are rare; smaller ones come from the allocator fast enough.
  private static let sizes = 16 << 10...64 << 10

  /// An empty buffer with room for so many bytes, if there is one.
  func take(capacity: Int) -> PayloadBuffer? {
    guard Self.sizes.contains(capacity) else { return nil }
    for index in buffers.indices where buffers[index].capacity >= capacity && isKnownUniquelyReferenced(&buffers[index])
    {
      let buffer = buffers.remove(at: index)
      buffer.removeAll()
      return buffer
    }
    return nil
  }

  /// Takes note of a buffer that is about to be passed on. The oldest is forgotten: whoever holds it may do so for long.
  func keep(_ buffer: PayloadBuffer) {
    guard Self.sizes.contains(buffer.capacity) else { return }
    if buffers.count >= Self.limit { buffers.removeFirst() }
    buffers.append(buffer)
  }
}
