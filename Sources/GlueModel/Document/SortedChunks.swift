/// Elements in an order that the caller keeps, in chunks: insertion and removal anywhere move one chunk, not everything. Without
/// elements it takes no memory.
struct SortedChunks<Element: Sendable>: Sendable {
  /// Chunks are cut in two when they are full. Smaller ones waste memory, larger ones are slow to insert into.
  private static var chunkSize: Int { 128 }

  /// None is empty.
  private var chunks: [[Element]] = []

  /// A place before an element, or at the end.
  struct Position {
    fileprivate var chunk: Int
    fileprivate var offset: Int
  }

  var isEmpty: Bool { chunks.isEmpty }
  var first: Element? { chunks.first?.first }
  var last: Element? { chunks.last?.last }

  /// The first place before which all elements are.
  @inline(__always)
  func position(whereNot isBefore: (Element) -> Bool) -> Position {
    // The chunk before the first chunk that begins with an element which is not before it.
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(chunks[middle][0]) { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return Position(chunk: 0, offset: 0) }
    let chunk = low - 1
    low = 1
    high = chunks[chunk].count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(chunks[chunk][middle]) { low = middle + 1 } else { high = middle }
    }
    return Position(chunk: chunk, offset: low)
  }

  /// The element at a place; nil at the end.
  subscript(position: Position) -> Element? {
    guard position.chunk < chunks.count else { return nil }
    if position.offset < chunks[position.chunk].count { return chunks[position.chunk][position.offset] }
    return position.chunk + 1 < chunks.count ? chunks[position.chunk + 1][0] : nil
  }

  /// The place after the element at a place.
  func position(after position: Position) -> Position {
    position.offset < chunks[position.chunk].count
      ? Position(chunk: position.chunk, offset: position.offset + 1) : Position(chunk: position.chunk + 1, offset: 1)
  }

  mutating func insert(_ element: Element, at position: Position) {
    guard !chunks.isEmpty else {
      chunks.append([element])
      return
    }
    chunks[position.chunk].insert(element, at: position.offset)
    let count = chunks[position.chunk].count
    guard count > Self.chunkSize else { return }
    // What is appended only leaves full chunks behind.
    let isAtEnd = position.chunk == chunks.count - 1 && position.offset == count - 1
    let cut = isAtEnd ? count - 1 : count / 2
    let upper = Array(chunks[position.chunk][cut...])
    chunks[position.chunk].removeSubrange(cut...)
    chunks.insert(upper, at: position.chunk + 1)
  }

  /// Removes the element at a place, which is not the end.
  mutating func remove(at position: Position) {
    var position = position
    if position.offset == chunks[position.chunk].count { position = Position(chunk: position.chunk + 1, offset: 0) }
    chunks[position.chunk].remove(at: position.offset)
    if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
  }

  /// All elements, in order, until the closure says false.
  @inline(__always)
  func forEach(from start: Position? = nil, _ body: (Element) throws -> Bool) rethrows {
    var offset = start?.offset ?? 0
    for chunk in chunks[(start?.chunk ?? 0)...] {
      while offset < chunk.count {
        guard try body(chunk[offset]) else { return }
        offset += 1
      }
      offset = 0
    }
  }
}
