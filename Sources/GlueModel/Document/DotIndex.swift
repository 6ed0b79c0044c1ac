/// Live entries by dot, in order: replicas ascending, and of each the counters ascending. Replicas without a live entry take nothing.
struct DotIndex: Sendable {
  /// The number of a replica that has live entries.
  typealias Writer = UInt32

  /// A counter, and the number of its entry.
  struct Item: Sendable {
    var counter: UInt64
    var entry: EntryTree.Index
  }

  private var replicas: [ReplicaID] = []
  private var items: [SortedChunks<Item>] = []
  private var freeWriters: [Writer] = []
  /// The writers by ascending replica.
  private(set) var order: [Writer] = []

  func replica(of writer: Writer) -> ReplicaID { replicas[Int(writer)] }

  private func orderIndex(of replica: ReplicaID) -> Int {
    order.partitioningIndex { replicas[Int($0)] >= replica }
  }

  /// The number of a replica; nil if it has no live entry.
  func writer(of replica: ReplicaID) -> Writer? {
    let index = orderIndex(of: replica)
    guard index < order.count, replicas[Int(order[index])] == replica else { return nil }
    return order[index]
  }

  /// The number of a replica that is about to have a live entry.
  mutating func makeWriter(_ replica: ReplicaID) -> Writer {
    let index = orderIndex(of: replica)
    if index < order.count, replicas[Int(order[index])] == replica { return order[index] }
    let writer = freeWriters.popLast() ?? Writer(replicas.count)
    if Int(writer) == replicas.count {
      replicas.append(replica)
      items.append(SortedChunks())
    } else {
      replicas[Int(writer)] = replica
    }
    order.insert(writer, at: index)
    return writer
  }

  mutating func insert(_ counter: UInt64, of writer: Writer, entry: EntryTree.Index) {
    items[Int(writer)].insert(
      Item(counter: counter, entry: entry), at: items[Int(writer)].position { $0.counter < counter })
  }

  mutating func remove(_ counter: UInt64, of writer: Writer) {
    items[Int(writer)].remove(at: items[Int(writer)].position { $0.counter < counter })
    guard items[Int(writer)].isEmpty else { return }
    order.remove(at: orderIndex(of: replicas[Int(writer)]))
    freeWriters.append(writer)
  }

  func entry(_ counter: UInt64, of writer: Writer) -> EntryTree.Index? {
    let items = items[Int(writer)]
    guard let item = items[items.position { $0.counter < counter }], item.counter == counter else { return nil }
    return item.entry
  }

  /// The live counters of a writer within a range, ascending.
  @inline(__always)
  func forEach(of writer: Writer, in range: Range<UInt64>, _ body: (Item) -> Void) {
    let items = items[Int(writer)]
    items.forEach(from: items.position { $0.counter < range.lowerBound }) {
      guard $0.counter < range.upperBound else { return false }
      body($0)
      return true
    }
  }
}
