import GlueCore

/// All live entries: by path, in a tree of levels, and by dot. Entries and nodes refer to each other by number, in arrays whose free
/// places are used again.
struct EntryTree: Sendable {
  /// The number of a node or of a live entry.
  typealias Index = UInt32
  /// No entry; the end of a list.
  static let none = Index.max
  /// In ``Node/firstEntry``: the node is not in use.
  private static let free = Index.max - 1
  /// The node of the whole model, which holds no entries.
  static let root: Index = 0

  /// One level of a path, or one element of a set.
  struct Node: Sendable {
    var key: NodeKey
    /// The level above; of a free node the next free one.
    var parent: Index
    /// The entries here, as a list in no particular order. Nearly always there is one.
    var firstEntry: Index = EntryTree.none
    /// Elements of a set first, then levels, both ascending by bytes.
    var children = SortedChunks<Child>()
    /// Live entries of its elements. Nodes stay until the end of a transaction, so children tell nothing.
    var elementEntries: UInt32 = 0
    /// Live entries at the levels below.
    var entriesBelow: UInt32 = 0

    /// Whether there is no entry below it.
    var isLeaf: Bool { elementEntries == 0 && entriesBelow == 0 }
  }

  /// A node, and the beginning of its key: a search seldom has to look at the nodes themselves, which lie far apart.
  struct Child: Sendable {
    var prefix: UInt64
    var node: Index
  }

  /// An entry as it is held here.
  struct LiveEntry: Sendable {
    var content: EntryContent
    var time: UInt64
    var counter: UInt64
    /// Who wrote it, as a number in ``DotIndex``.
    var writer: DotIndex.Writer
    var node: Index
    /// The next one at the same node; of a free place the next free one.
    var next: Index = EntryTree.none
  }

  private(set) var nodes = [Node(key: .level(""), parent: none)]
  private var firstFreeNode = none
  private(set) var entries: [LiveEntry] = []
  private var firstFreeEntry = none
  private(set) var dots = DotIndex()
  /// Nodes that hold entries.
  private(set) var keyCount = 0
  /// Live entries.
  private(set) var entryCount = 0
  /// The sum of a hash of each live dot and its folds: two trees with other entries have another one.
  private(set) var fingerprint: UInt64 = 0

  // MARK: Nodes

  /// The node of a path; nil if there is none.
  func node(at path: ModelPath) -> Index? {
    var node = Self.root
    return forEachLevel(of: path) { level in
      guard let child = child(of: node, level: level) else { return false }
      node = child
      return true
    } ? node : nil
  }

  /// The node of a path, made if there is none.
  mutating func makeNode(at path: ModelPath) -> Index {
    var node = Self.root
    var text = path.text
    text.withUTF8 { utf8 in
      var start = 0
      while start < utf8.count {
        var end = start
        while end < utf8.count, utf8[end] != UInt8(ascii: "/") { end += 1 }
        let level = UnsafeBufferPointer(rebasing: utf8[start..<end])
        let position = position(of: level, in: node)
        if let child = nodes[Int(node)].children[position], nodes[Int(child.node)].key.isLevel(level) {
          node = child.node
        } else {
          node = makeChild(of: node, key: .level(String(decoding: level, as: UTF8.self)), at: position)
        }
        start = end + 1
      }
    }
    return node
  }

  /// The node of an element, given by its encoding; nil if there is none.
  func element(_ element: [UInt8], of node: Index) -> Index? {
    let key = NodeKey.element(element)
    guard let child = nodes[Int(node)].children[position(of: key, in: node)], nodes[Int(child.node)].key == key else {
      return nil
    }
    return child.node
  }

  /// The node of an element, made if there is none.
  mutating func makeElement(_ element: [UInt8], of node: Index) -> Index {
    let key = NodeKey.element(element)
    let position = position(of: key, in: node)
    if let child = nodes[Int(node)].children[position], nodes[Int(child.node)].key == key { return child.node }
    return makeChild(of: node, key: key, at: position)
  }

  /// The node of a level; nil if there is none.
  func child(of node: Index, level: UnsafeBufferPointer<UInt8>) -> Index? {
    guard let child = nodes[Int(node)].children[position(of: level, in: node)],
      nodes[Int(child.node)].key.isLevel(level)
    else {
      return nil
    }
    return child.node
  }

  /// Where a level is among the children of a node, or would be.
  private func position(of level: UnsafeBufferPointer<UInt8>, in node: Index) -> SortedChunks<Child>.Position {
    let prefix = NodeKey.prefix(ofLevel: level)
    return nodes[Int(node)].children.position {
      $0.prefix == prefix ? nodes[Int($0.node)].key.precedes(level: level) : $0.prefix < prefix
    }
  }

  private func position(of key: NodeKey, in node: Index) -> SortedChunks<Child>.Position {
    let prefix = key.prefix
    return nodes[Int(node)].children.position {
      $0.prefix == prefix ? nodes[Int($0.node)].key < key : $0.prefix < prefix
    }
  }

  private mutating func makeChild(of parent: Index, key: NodeKey, at position: SortedChunks<Child>.Position) -> Index {
    let child: Index
    if firstFreeNode != Self.none {
      child = firstFreeNode
      firstFreeNode = nodes[Int(child)].parent
      nodes[Int(child)] = Node(key: key, parent: parent)
    } else {
      child = Index(nodes.count)
      nodes.append(Node(key: key, parent: parent))
    }
    nodes[Int(parent)].children.insert(Child(prefix: key.prefix, node: child), at: position)
    return child
  }

  /// Gives back a node without entries and children, and those above it that thus have none. Does nothing to others.
  mutating func prune(_ node: Index) {
    var node = node
    while node != Self.root, nodes[Int(node)].firstEntry == Self.none, nodes[Int(node)].children.isEmpty {
      let parent = nodes[Int(node)].parent
      nodes[Int(parent)].children.remove(at: position(of: nodes[Int(node)].key, in: parent))
      nodes[Int(node)] = Node(key: .level(""), parent: firstFreeNode, firstEntry: Self.free)
      firstFreeNode = node
      node = parent
    }
  }

  /// The path of a node; that of an element is its set's. Filled from the end, as the levels come.
  func path(of node: Index) -> ModelPath {
    let bytes = pathBytes(of: node)
    return ModelPath(
      unchecked: String(unsafeUninitializedCapacity: bytes) { buffer in
        var end = bytes
        forEachLevelUpward(from: node) { level in
          if end < bytes {
            end -= 1
            buffer[end] = UInt8(ascii: "/")
          }
          end -= level.count
          _ = UnsafeMutableBufferPointer(rebasing: buffer[end..<(end + level.count)]).initialize(from: level)
        }
        return bytes
      })
  }

  /// The bytes of a node's path.
  func pathBytes(of node: Index) -> Int {
    var bytes = -1
    forEachLevelUpward(from: node) { bytes += $0.count + 1 }
    return max(bytes, 0)
  }

  @inline(__always)
  private func forEachLevelUpward(from node: Index, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    var node = node
    while node != Self.root {
      if case .level(var level) = nodes[Int(node)].key { level.withUTF8 { body($0) } }
      node = nodes[Int(node)].parent
    }
  }

  // MARK: Entries

  /// Adds an entry; the dot is not there yet.
  mutating func insert(_ dot: Dot, time: UInt64, content: EntryContent, at node: Index) {
    let writer = dots.makeWriter(dot.replica)
    let entry = LiveEntry(
      content: content, time: time, counter: dot.counter, writer: writer, node: node, next: nodes[Int(node)].firstEntry)
    let index: Index
    if firstFreeEntry != Self.none {
      index = firstFreeEntry
      firstFreeEntry = entries[Int(index)].next
      entries[Int(index)] = entry
    } else {
      index = Index(entries.count)
      entries.append(entry)
    }
    if entry.next == Self.none { keyCount += 1 }
    nodes[Int(node)].firstEntry = index
    entryCount += 1
    forEachAbove(node) { $1 ? ($0.elementEntries += 1) : ($0.entriesBelow += 1) }
    dots.insert(dot.counter, of: writer, entry: index)
    fingerprint &+= LiveDot(dot: dot, folds: content.folds).hash64
  }

  /// Removes an entry. Its node stays until it is pruned.
  mutating func remove(_ index: Index) {
    let entry = entries[Int(index)]
    fingerprint &-= LiveDot(dot: dot(of: index), folds: entry.content.folds).hash64
    dots.remove(entry.counter, of: entry.writer)
    entryCount -= 1
    forEachAbove(entry.node) { $1 ? ($0.elementEntries -= 1) : ($0.entriesBelow -= 1) }
    var before = Self.none
    var current = nodes[Int(entry.node)].firstEntry
    while current != index {
      before = current
      current = entries[Int(current)].next
    }
    if before == Self.none {
      nodes[Int(entry.node)].firstEntry = entry.next
    } else {
      entries[Int(before)].next = entry.next
    }
    if nodes[Int(entry.node)].firstEntry == Self.none { keyCount -= 1 }
    entries[Int(index)] = LiveEntry(
      content: .map, time: 0, counter: 0, writer: 0, node: Self.none, next: firstFreeEntry)
    firstFreeEntry = index
  }

  /// The nodes above one, and whether what is below each is one of its elements.
  @inline(__always)
  private mutating func forEachAbove(_ node: Index, _ body: (inout Node, Bool) -> Void) {
    var isElement = if case .element = nodes[Int(node)].key { true } else { false }
    var node = nodes[Int(node)].parent
    while node != Self.none {
      body(&nodes[Int(node)], isElement)
      isElement = false
      node = nodes[Int(node)].parent
    }
  }

  /// Changes what an entry holds: only a part of a counter changes.
  mutating func replace(_ index: Index, with content: EntryContent) {
    let dot = dot(of: index)
    fingerprint &-= LiveDot(dot: dot, folds: entries[Int(index)].content.folds).hash64
    fingerprint &+= LiveDot(dot: dot, folds: content.folds).hash64
    entries[Int(index)].content = content
  }

  /// The live entry of a dot.
  func entry(of dot: Dot) -> Index? { dots.writer(of: dot.replica).flatMap { dots.entry(dot.counter, of: $0) } }

  func dot(of index: Index) -> Dot {
    let entry = entries[Int(index)]
    return Dot(dots.replica(of: entry.writer), entry.counter)
  }

  /// An entry as others get it.
  func exported(_ index: Index) -> Entry {
    let entry = entries[Int(index)]
    return Entry(dot: dot(of: index), time: entry.time, path: path(of: entry.node), content: entry.content)
  }

  // MARK: Walking

  /// The entries of a node, in no particular order.
  @inline(__always)
  func forEachEntry(of node: Index, _ body: (Index) -> Void) {
    var index = nodes[Int(node)].firstEntry
    while index != Self.none {
      let next = entries[Int(index)].next
      body(index)
      index = next
    }
  }

  /// A node and all below it, each before those below it.
  func forEachNode(under node: Index, _ body: (Index) -> Void) {
    body(node)
    nodes[Int(node)].children.forEach {
      forEachNode(under: $0.node, body)
      return true
    }
  }

  /// The levels of a path, from the top, until the closure says false. Whether it never did.
  func forEachLevel(of path: ModelPath, _ body: (UnsafeBufferPointer<UInt8>) -> Bool) -> Bool {
    var text = path.text
    return text.withUTF8 { utf8 in
      var start = 0
      while start < utf8.count {
        var end = start
        while end < utf8.count, utf8[end] != UInt8(ascii: "/") { end += 1 }
        guard body(UnsafeBufferPointer(rebasing: utf8[start..<end])) else { return false }
        start = end + 1
      }
      return true
    }
  }
}

/// What a node is called within the one above it.
enum NodeKey: Equatable, Sendable {
  /// An element of a set, by its canonical encoding.
  case element([UInt8])
  /// A level of a path.
  case level(String)

  /// The kind that what is above must show for this to be shown.
  var shownIn: ModelKind {
    switch self {
    case .element: .set
    case .level: .map
    }
  }

  /// The kind of key and its first seven bytes, as a number: of two keys the one with the lower prefix is before the other.
  var prefix: UInt64 {
    switch self {
    case .element(let bytes): bytes.withUnsafeBufferPointer { Self.firstBytes($0) }
    case .level(var text): text.withUTF8 { Self.prefix(ofLevel: $0) }
    }
  }

  static func prefix(ofLevel level: UnsafeBufferPointer<UInt8>) -> UInt64 { firstBytes(level) | 1 << 56 }

  private static func firstBytes(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<7 { value = value << 8 | (index < bytes.count ? UInt64(bytes[index]) : 0) }
    return value
  }

  static func < (a: NodeKey, b: NodeKey) -> Bool {
    switch (a, b) {
    case (.element(let a), .element(let b)): a.lexicographicallyPrecedes(b)
    case (.element, .level): true
    case (.level, .element): false
    case (.level(let a), .level(var b)): b.withUTF8 { NodeKey.level(a).precedes(level: $0) }
    }
  }

  static func == (a: NodeKey, b: NodeKey) -> Bool {
    switch (a, b) {
    case (.element(let a), .element(let b)): a == b
    case (.level(let a), .level(let b)): a.utf8.elementsEqual(b.utf8)
    case (.element, .level), (.level, .element): false
    }
  }

  /// Whether it comes before a level.
  func precedes(level: UnsafeBufferPointer<UInt8>) -> Bool {
    guard case .level(var text) = self else { return true }
    return text.withUTF8 { mine in
      for index in 0..<min(mine.count, level.count) where mine[index] != level[index] {
        return mine[index] < level[index]
      }
      return mine.count < level.count
    }
  }

  /// Whether it is a level.
  func isLevel(_ level: UnsafeBufferPointer<UInt8>) -> Bool {
    guard case .level(var text) = self else { return false }
    return text.withUTF8 { $0.count == level.count && $0.elementsEqual(level) }
  }
}
