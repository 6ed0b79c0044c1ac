import DequeModule

/// What is held of a stream, by its publisher or by somebody who received it: each message as one encoded unit (docs/protocol.md §6.1), back to back in
/// chunks, so that a run of messages goes into a datagram with one copy. Of a message that does not fit, parts are read with a header of their own.
///
/// Positions are dense: `first ..< end`. Adding and releasing cost amortized constant time, finding a run a binary search.
final class SendLog {
  // Its properties are exempt from the run-time exclusivity check, which cost a third of the time per message (378 ns with,
  // 209 ns without, both sides of 64-byte messages); nothing here calls back into itself.

  /// Where a message begins.
  struct Message: BitwiseCopyable {
    var position: UInt64
    /// Bytes of all messages before it.
    fileprivate var start: UInt64
    /// When it was published, on the local clock.
    var published: Timestamp
    /// `.max` without a lifetime.
    var expires: Timestamp

    /// In the place of a message that is not held, so that positions and sequence numbers stay dense.
    fileprivate static func hole(at position: UInt64, start: UInt64) -> Message {
      Message(
        position: position, start: start, published: Timestamp(nanoseconds: 0), expires: Timestamp(nanoseconds: 0))
    }
    var isHole: Bool { expires == Timestamp(nanoseconds: 0) }
  }

  /// What goes into a DATA frame next.
  struct Run {
    enum Content {
      /// Whole messages, contiguous in memory.
      case units(UnsafeRawBufferPointer)
      /// Some fragments of one message.
      case part(Unit)
    }
    var content: Content
    var end: UInt64
  }

  private final class Chunk {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    /// Bytes of all messages before this chunk's first.
    var origin: UInt64
    /// The same behind its last; of the newest chunk, which grows, see ``SendLog/end(of:)``.
    var end: UInt64 = 0
    init(capacity: Int, origin: UInt64) {
      base = .allocate(byteCount: capacity, alignment: 16)
      self.capacity = capacity
      self.origin = origin
    }
    deinit { base.deallocate() }
  }

  /// The oldest position held. The message to which it belongs is held whole, until nothing of it is needed.
  @exclusivity(unchecked) private(set) var first: UInt64 = 0
  /// One above the newest position.
  @exclusivity(unchecked) private(set) var end: UInt64 = 0
  /// The sequence number of the oldest message held, whole or in part.
  @exclusivity(unchecked) private(set) var firstSequence: UInt64 = 0
  /// Whether any message held has a lifetime, or is a hole.
  @exclusivity(unchecked) private(set) var hasLifetimes = false
  @exclusivity(unchecked) private var totalBytes: UInt64 = 0
  /// Bytes of everything before `first`.
  @exclusivity(unchecked) private var firstStart: UInt64 = 0
  @exclusivity(unchecked) private var messages = Ring<Message>()
  @exclusivity(unchecked) private var chunks = Deque<Chunk>()
  private var spares: [Chunk] = []
  private var spareBytes = 0
  /// What is free of the newest chunk: kept here, so that adding a message touches no reference count.
  @exclusivity(unchecked) private var free = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  /// Bytes that a unit's header takes at most: flags, length, time, lifetime, total.
  static let unitHeaderBytes = 1 + 5 + 10 + 10 + 5
  /// The first chunk has room for one fragment at its longest, since many topics carry little; later ones grow to the largest.
  static let smallestChunk = 512
  /// Larger only for messages that need it.
  static let largestChunk = 256 << 10
  /// Chunks that were let go of wait to be filled again, up to so many bytes and as long as something is held: the system takes
  /// long to give memory anew, and acknowledgements let go of up to two windows at a time.
  static let mostSpareBytes = 32 * largestChunk
  /// And no more than is held, beyond so many: many publications may hold little for long.
  static let leastSpareBytes = 8 * largestChunk

  /// The sequence number the next message will get.
  var endSequence: UInt64 { firstSequence + UInt64(messages.count) }
  /// Bytes held.
  var byteCount: Int { Int(totalBytes - firstStart) }
  var isEmpty: Bool { messages.isEmpty }

  /// Bytes between two positions.
  func bytes(from low: UInt64, to high: UInt64) -> Int {
    guard low < high else { return 0 }
    return Int(start(of: high) - start(of: low))
  }

  private func start(of position: UInt64) -> UInt64 {
    // What was let go takes nothing, and there may be nothing else.
    if position >= end { return totalBytes }
    if position <= first { return firstStart }
    return start(of: position, in: index(ofMessageAt: position))
  }

  private func start(of position: UInt64, in index: Int) -> UInt64 {
    let message = messages[index]
    if position == message.position { return message.start }
    // Headers count for the first fragment of what follows; a hole has no bytes.
    let bytes = (position - message.position) * UInt64(Unit.fragmentBytes)
    return min(message.start + bytes, startOfMessage(index + 1))
  }

  private func startOfMessage(_ index: Int) -> UInt64 { index < messages.count ? messages[index].start : totalBytes }
  private func positionOfMessage(_ index: Int) -> UInt64 { index < messages.count ? messages[index].position : end }

  // MARK: Adding

  /// Adds a message and returns its first position.
  ///
  /// - Parameters:
  ///   - time: of publication, in microseconds after the stream's epoch.
  ///   - published: the same on the local clock.
  func append(
    _ payload: UnsafeRawBufferPointer, attributes: UnsafeRawBufferPointer, time: UInt64, lifetime: Nanoseconds?,
    published: Timestamp, expires: Timestamp
  ) -> UInt64 {
    append(
      attributes, payload, hasAttributes: !attributes.isEmpty, time: time, lifetime: lifetime, published: published,
      expires: expires)
  }

  /// Adds a message whose body is whole already. See
  /// ``append(_:attributes:time:lifetime:published:expires:)``.
  func append(
    _ body: UnsafeRawBufferPointer, hasAttributes: Bool, time: UInt64, lifetime: Nanoseconds?, published: Timestamp,
    expires: Timestamp
  ) -> UInt64 {
    append(
      UnsafeRawBufferPointer(start: nil, count: 0), body, hasAttributes: hasAttributes, time: time, lifetime: lifetime,
      published: published, expires: expires)
  }

  private func append(
    _ attributes: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, hasAttributes: Bool, time: UInt64,
    lifetime: Nanoseconds?, published: Timestamp, expires: Timestamp
  ) -> UInt64 {
    let position = end
    let total = attributes.count + payload.count
    let bytes = total + Self.unitHeaderBytes
    if free.count < bytes { addChunk(for: bytes) }
    messages.append(Message(position: position, start: totalBytes, published: published, expires: expires))
    if lifetime != nil { hasLifetimes = true }
    var flags: Unit.Flags = [.first, .last]
    if hasAttributes { flags.insert(.attributes) }
    var writer = WireWriter(free)
    Unit.writeHeader(
      to: &writer, flags: flags, length: total, timeMicroseconds: time,
      lifetimeMicroseconds: lifetime?.wholeMicroseconds, totalBytes: UInt64(total))
    writer.bytes(attributes)
    writer.bytes(payload)
    free = UnsafeMutableRawBufferPointer(rebasing: free[writer.count...])
    totalBytes += UInt64(writer.count)
    end += Unit.fragments(bodyBytes: total)
    return position
  }

  /// Holes up to this many positions are held as such. Larger ones are not worth their bookkeeping: ``restart(at:sequence:)``.
  static let longestHole: UInt64 = 1_024

  /// Goes on after messages that are not held, which take so many positions and sequence numbers.
  func appendHole(positions: UInt64, sequences: UInt64) {
    precondition(sequences <= positions && positions <= Self.longestHole, "\(sequences) messages in \(positions) units")
    guard sequences > 0 else { return }
    hasLifetimes = true
    for index in 0..<sequences { messages.append(.hole(at: end + index, start: totalBytes)) }
    end += positions
  }

  /// Begins anew at a later place, without anything.
  func restart(at position: UInt64, sequence: UInt64) {
    release(below: end)
    first = position
    end = position
    firstSequence = sequence
  }

  /// Begins a chunk with room for so many bytes.
  private func addChunk(for bytes: Int) {
    chunks.last?.end = totalBytes
    let chunk: Chunk
    if let index = spares.lastIndex(where: { $0.capacity >= bytes }) {
      chunk = spares.remove(at: index)
      spareBytes -= chunk.capacity
      chunk.origin = totalBytes
    } else {
      let grown = min(Self.largestChunk, (chunks.last?.capacity ?? Self.smallestChunk / 4) * 4)
      // Of large messages, which are mostly of one size, a whole number: nothing stays empty at its end.
      let capacity = bytes > grown / 8 ? (grown + bytes - 1) / bytes * bytes : grown
      chunk = Chunk(capacity: capacity, origin: totalBytes)
    }
    chunks.append(chunk)
    free = UnsafeMutableRawBufferPointer(start: chunk.base, count: chunk.capacity)
  }

  /// Bytes of all messages up to a chunk's last.
  private func end(of chunk: Chunk) -> UInt64 { chunk === chunks.last ? totalBytes : chunk.end }

  // MARK: Reading

  /// What goes into a frame next: the messages from a position on that lie together in memory and fit, or a part of the one at the
  /// position. Nil if not even a fragment fits, or a message would have to be cut that must not be.
  func run(from position: UInt64, below limit: UInt64, maximumBytes: Int, mayCut: Bool = true) -> Run? {
    precondition(position >= first && position < end, "position \(position) outside \(first) ..< \(end)")
    let index = index(ofMessageAt: position)
    let message = messages[index]
    let chunk = chunk(holding: message.start)
    let base = chunk.base + Int(message.start - chunk.origin)
    if message.position == position {
      let ceiling = min(message.start + UInt64(max(0, maximumBytes)), end(of: chunk))
      // The last message that ends at or below the ceiling, and at or below the limit.
      var low = index
      var high = limit >= end ? messages.count : self.index(ofMessageAt: limit)
      if high > low, startOfMessage(high) <= ceiling { low = high }
      while low < high {
        let middle = low + (high - low + 1) / 2
        if startOfMessage(middle) <= ceiling { low = middle } else { high = middle - 1 }
      }
      if low > index {
        let bytes = UnsafeRawBufferPointer(start: base, count: Int(startOfMessage(low) - message.start))
        return Run(content: .units(bytes), end: positionOfMessage(low))
      }
    }
    let next = min(limit, positionOfMessage(index + 1))
    guard mayCut,
      let part = unit(of: index, at: base)?.part(
        skipping: position - message.position, atMost: next - position, maximumBytes: maximumBytes)
    else { return nil }
    return Run(content: .part(part), end: position + part.fragments)
  }

  /// A message as it is held; nil if it is a hole.
  private func unit(of index: Int, at base: UnsafeMutableRawPointer) -> Unit? {
    var reader = UnitReader(
      UnsafeRawBufferPointer(start: base, count: Int(startOfMessage(index + 1) - messages[index].start)))
    return try? reader.next()
  }

  private func chunk(holding byte: UInt64) -> Chunk {
    if let last = chunks.last, byte >= last.origin { return last }
    var low = 0
    var high = chunks.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if chunks[middle].origin <= byte { low = middle } else { high = middle - 1 }
    }
    return chunks[low]
  }

  /// Index of the message to which the position belongs.
  private func index(ofMessageAt position: UInt64) -> Int {
    // Each has one fragment, as most have.
    if UInt64(messages.count) == end - first { return Int(position - first) }
    var low = 0
    var high = messages.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if messages[middle].position <= position { low = middle } else { high = middle - 1 }
    }
    return low
  }

  /// The message to which a held position belongs, its sequence number, and the position behind its last fragment.
  func message(at position: UInt64) -> (message: Message, sequence: UInt64, end: UInt64) {
    let index = index(ofMessageAt: position)
    return (messages[index], firstSequence + UInt64(index), positionOfMessage(index + 1))
  }

  /// The first message that begins in a range of held positions.
  func firstBeginning(in range: Range<UInt64>) -> Message? {
    let (message, _, next) = message(at: range.lowerBound)
    if message.position >= range.lowerBound { return message }
    return next < range.upperBound ? self.message(at: next).message : nil
  }

  /// The end of the run of expired messages, or of holes, that begins with the one at the position; the position itself if it
  /// lives.
  func endOfExpired(from position: UInt64, at now: Timestamp) -> UInt64 {
    guard hasLifetimes else { return position }
    let isHole = message(at: position).message.isHole
    var position = position
    while position < end {
      let (message, _, next) = message(at: position)
      guard message.expires <= now, message.isHole == isHole else { break }
      position = next
    }
    return position
  }

  /// The first position of the message with a sequence number, or of the nearest that is held; the end if it is yet to come.
  func position(ofSequence sequence: UInt64) -> UInt64 {
    guard sequence > firstSequence else { return first }
    guard sequence < endSequence else { return end }
    return messages[Int(sequence - firstSequence)].position
  }

  /// The first position of the first message from a position on that was published at a time or later.
  func position(from position: UInt64, publishedSince time: Timestamp) -> UInt64 {
    guard position < end else { return end }
    // Times of messages that others published may go back a little; then some more are found.
    var low = index(ofMessageAt: max(position, first))
    var high = messages.count
    while low < high {
      let middle = (low + high) / 2
      if messages[middle].published < time { low = middle + 1 } else { high = middle }
    }
    return low < messages.count ? messages[low].position : end
  }

  /// Goes through what is held from a position on, for a subscription of this endpoint that came later: hands over the messages that
  /// live, and says which sequence numbers there is none of, and why.
  func replay(
    from position: UInt64, at now: Timestamp, _ take: (ArrivedMessage) -> Void,
    lose: (Range<UInt64>, LossReason) -> Void
  ) {
    var position = position
    while position < end {
      let (message, sequence, next) = message(at: position)
      defer { position = next }
      guard message.expires > now, let arrived = arrived(message, sequence, at: position, next: next) else {
        lose(sequence..<sequence + 1, message.isHole ? .evicted : .expired)
        continue
      }
      take(arrived)
    }
  }

  /// A copy of a held message; nil of a hole, and if a part of it is no longer held.
  func arrived(
    _ message: Message, _ sequence: UInt64, at position: UInt64, next: UInt64
  ) -> ArrivedMessage? {
    guard position == message.position,
      case .units(let bytes)? = run(from: position, below: next, maximumBytes: .max, mayCut: false)?.content
    else { return nil }
    var reader = UnitReader(bytes)
    guard let unit = try? reader.next() else { return nil }
    let copy = PayloadBuffer(copying: unit.body)
    return ArrivedMessage(
      sequence: sequence, position: position, units: next - position, body: copy.bytes, owner: copy,
      hasAttributes: unit.flags.contains(.attributes), time: unit.timeMicroseconds, publishedAt: message.published,
      lifetime: unit.lifetimeMicroseconds.map { .microseconds($0) })
  }

  /// Memory that what is held takes, roughly: the messages, and what is noted of each.
  var footprint: Int { byteCount + messages.count * MemoryLayout<Message>.stride }

  /// The first position in a range at which an expired message begins, or the range's end.
  func firstExpired(in range: Range<UInt64>, at now: Timestamp) -> UInt64 {
    guard hasLifetimes else { return range.upperBound }
    var position = range.lowerBound
    while position < range.upperBound {
      let (message, _, next) = message(at: position)
      if message.expires <= now { return max(position, range.lowerBound) }
      position = next
    }
    return range.upperBound
  }

  // MARK: Releasing

  /// Forgets everything below a position.
  func release(below position: UInt64) {
    guard position > first else { return }
    if position >= end {
      firstSequence += UInt64(messages.count)
      messages.removeFirst(messages.count)
      first = end
      firstStart = totalBytes
      hasLifetimes = false
    } else {
      let index = index(ofMessageAt: position)
      firstStart = start(of: position, in: index)
      messages.removeFirst(index)
      firstSequence += UInt64(index)
      first = position
    }
    releaseChunks()
  }

  private func releaseChunks() {
    // The message of which the first position is held is held whole.
    let oldest = messages.first?.start ?? totalBytes
    while let chunk = chunks.first, chunks.count > 1, chunk.end <= oldest {
      chunks.removeFirst()
      spares.append(chunk)
      spareBytes += chunk.capacity
    }
    let limit = min(Self.mostSpareBytes, max(Self.leastSpareBytes, byteCount))
    while spareBytes > limit { spareBytes -= spares.removeLast().capacity }
    guard messages.isEmpty, let chunk = chunks.last else { return }
    releaseSpares()
    if chunk.capacity > 2 * Self.largestChunk {
      // It was for a message of unusual size.
      chunks = []
      free = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    } else {
      // It begins anew.
      chunk.origin = totalBytes
      free = UnsafeMutableRawBufferPointer(start: chunk.base, count: chunk.capacity)
    }
  }

  /// Gives back the memory that waits to be filled again.
  func releaseSpares() {
    spares = []
    spareBytes = 0
  }

  /// Numbers a message that nobody wants or keeps, without holding it. Returns the position behind it, like `append`.
  func skipMessage(bodyBytes: Int) -> UInt64 {
    precondition(isEmpty, "only an empty log can skip")
    end += Unit.fragments(bodyBytes: bodyBytes)
    first = end
    firstSequence += 1
    return end
  }
}
