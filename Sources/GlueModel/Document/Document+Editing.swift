import GlueCore

extension Document {
  /// Makes all changes in order, or none if one is refused: one transaction, which arrives everywhere as one. nil if there was nothing to
  /// change. The time is in microseconds since 1970; a later change of the same replica has a later one.
  public mutating func apply(_ edits: [ModelEdit], at time: UInt64) throws(ModelError) -> Applied? {
    var transaction = Transaction(replica: replica, first: context.seen[replica].end, time: time)
    let keysBefore = keyCount
    do throws(ModelError) {
      for edit in edits { try perform(edit, in: &transaction) }
      guard keyCount <= limits.keys || keyCount <= keysBefore else {
        throw .limitExceeded(.keys, limit: limits.keys)
      }
      guard transaction.bytes <= limits.transactionBytes else {
        throw .limitExceeded(.transactionBytes, limit: limits.transactionBytes)
      }
    } catch {
      undo(transaction)
      throw error
    }
    return finish(transaction)
  }

  /// Writes entries anew, each under a dot of its own and with the time it had, and removes nothing: what this replica wrote and lost to a
  /// higher generation. nil if there are none.
  public mutating func rewrite(_ entries: [Entry], at time: UInt64) -> Applied? {
    var transaction = Transaction(replica: replica, first: context.seen[replica].end, time: time)
    for entry in entries where !entry.path.isRoot {
      var content = entry.content
      if case .amount(let amount, _) = content { content = .amount(amount, folds: 0) }
      let node = makeNode(for: entry)
      insert(content, at: node, time: entry.time, in: &transaction)
      if content.kind == .counter { fold(node, in: &transaction) }
    }
    return finish(transaction)
  }

  /// The node where an entry belongs, made if there is none.
  mutating func makeNode(for entry: Entry) -> Index {
    let node = tree.makeNode(at: entry.path)
    if case .element(let element) = entry.content { return tree.makeElement(element.encoded(), of: node) }
    return node
  }
}

/// A transaction under way: what it did to the tree, so that it can be told and undone.
struct Transaction {
  /// One step, and what is needed to undo it.
  enum Step {
    case inserted(Dot)
    case removed(Dot, EntryTree.LiveEntry)
    case replaced(Dot, old: EntryContent)
  }

  let replica: ReplicaID
  let first: UInt64
  let time: UInt64
  /// The counter of the next change.
  var next: UInt64
  var steps: [Step] = []
  /// The entries so far, as if each were encoded by itself.
  var bytes = 0
  var recorder = ChangeRecorder()

  init(replica: ReplicaID, first: UInt64, time: UInt64) {
    self.replica = replica
    self.first = first
    self.time = time
    next = first
  }

  /// Whether a dot is one of this transaction.
  func contains(_ dot: Dot) -> Bool { dot.counter >= first && dot.replica == replica }
}

// MARK: Changes

extension Document {
  private mutating func perform(_ edit: ModelEdit, in transaction: inout Transaction) throws(ModelError) {
    var found: Index? = EntryTree.root
    if edit.path.isRoot, case .delete = edit {} else { found = try checkAbove(edit.path) }
    switch edit {
    case .set(let path, let value), .resolve(let path, .value(let value)):
      try check(value, at: path)
      let node = found ?? tree.makeNode(at: path)
      removeAll(under: node, in: &transaction)
      insert(.value(value), at: node, in: &transaction)
    case .delete:
      guard let found, removeAll(under: found, in: &transaction) else { return }
      transaction.next += 1
    case .add(let path, let element):
      try check(element, at: path)
      try check(path, found, allows: .set)
      let node = tree.makeElement(element.encoded(), of: found ?? tree.makeNode(at: path))
      removeEntries(of: node, in: &transaction)
      insert(.element(element), at: node, in: &transaction)
    case .remove(_, let element):
      guard let found, let node = tree.element(element.encoded(), of: found),
        removeEntries(of: node, in: &transaction)
      else { return }
      transaction.next += 1
    case .increment(let path, let amount):
      try check(path, found, allows: .counter)
      let node = found ?? tree.makeNode(at: path)
      insert(.amount(amount, folds: 0), at: node, in: &transaction)
      // What was inserted is undone.
      guard !(sum(at: node) &- amount).addingReportingOverflow(amount).overflow else { throw .overflow(path) }
      fold(node, in: &transaction)
    case .makeMap(let path):
      try check(path, found, allows: .map)
      let node = found ?? tree.makeNode(at: path)
      if content(at: node) != .map { insert(.map, at: node, in: &transaction) }
    case .resolve(let path, .kind(let kind)): try resolve(path, to: kind, in: &transaction)
    }
  }

  /// Keeps what is of one kind, and of several values the one that is shown.
  private mutating func resolve(_ path: ModelPath, to kind: ModelKind, in transaction: inout Transaction)
    throws(ModelError)
  {
    guard let node = tree.node(at: path), let shown = shownKind(of: node) else { return }
    let kinds = candidates(at: node).map(\.kind)
    guard kinds.contains(kind) else { throw .wrongKind(path, is: shown, needs: kind) }
    let values = values(at: node)
    if kind == .value, values.count > 1, case .merge(let merge) = policies.policy(for: path) {
      return try perform(.set(path, merge(values.map(\.value))), in: &transaction)
    }
    let kept = kind == .value ? values.first?.entry : nil
    var removed: [Index] = []
    tree.forEachEntry(of: node) { entry in
      if tree.entries[Int(entry)].content.kind != kind || kept != nil && entry != kept { removed.append(entry) }
    }
    tree.nodes[Int(node)].children.forEach { child in
      if tree.nodes[Int(child.node)].key.shownIn != kind {
        tree.forEachNode(under: child.node) { tree.forEachEntry(of: $0) { removed.append($0) } }
      }
      return true
    }
    guard !removed.isEmpty else { return }
    for entry in removed { remove(entry, in: &transaction) }
    transaction.next += 1
  }

  // MARK: Checks

  /// What is above a path must be a map, or nothing. Returns the path's node, if there is one.
  private func checkAbove(_ path: ModelPath) throws(ModelError) -> Index? {
    if path.isRoot { throw .wrongKind(path, is: .map, needs: .value) }
    var node = EntryTree.root
    var levels = 0
    var wrong: (node: Index, kind: ModelKind)?
    let isThere = tree.forEachLevel(of: path) { level in
      if levels > 0, hasOwnContent(node), let kind = shownKind(of: node), kind != .map {
        wrong = (node, kind)
        return false
      }
      guard let child = tree.child(of: node, level: level) else { return false }
      node = child
      levels += 1
      return true
    }
    if let wrong { throw .wrongKind(tree.path(of: wrong.node), is: wrong.kind, needs: .map) }
    return isThere ? node : nil
  }

  /// What is at a path must be of a kind, or nothing.
  private func check(_ path: ModelPath, _ node: Index?, allows kind: ModelKind) throws(ModelError) {
    guard let node, let shown = shownKind(of: node), shown != kind else { return }
    throw .wrongKind(path, is: shown, needs: kind)
  }

  private func check(_ value: ModelValue, at path: ModelPath) throws(ModelError) {
    if case .list = value, value.depth > ModelValue.depthLimit {
      throw .invalidValue(path, problem: "lists are nested more than \(ModelValue.depthLimit) deep")
    }
    guard value.encodedBytes <= limits.valueBytes else { throw .limitExceeded(.valueBytes, limit: limits.valueBytes) }
  }

  // MARK: Steps

  private mutating func insert(
    _ content: EntryContent, at node: Index, time: UInt64? = nil, in transaction: inout Transaction
  ) {
    transaction.recorder.record(node, kind: content.kind, in: self)
    let dot = Dot(replica, transaction.next)
    transaction.next += 1
    tree.insert(dot, time: time ?? transaction.time, content: content, at: node)
    transaction.steps.append(.inserted(dot))
    transaction.bytes += tree.pathBytes(of: node) + content.encodedBytes + Delta.entryOverheadBytes
  }

  private mutating func remove(_ entry: Index, in transaction: inout Transaction) {
    let live = tree.entries[Int(entry)]
    transaction.recorder.record(live.node, kind: live.content.kind, in: self)
    transaction.steps.append(.removed(tree.dot(of: entry), live))
    tree.remove(entry)
  }

  /// Whether there was one.
  @discardableResult
  private mutating func removeEntries(of node: Index, in transaction: inout Transaction) -> Bool {
    let first = tree.nodes[Int(node)].firstEntry
    while tree.nodes[Int(node)].firstEntry != EntryTree.none {
      remove(tree.nodes[Int(node)].firstEntry, in: &transaction)
    }
    return first != EntryTree.none
  }

  /// Whether there was one.
  @discardableResult
  private mutating func removeAll(under node: Index, in transaction: inout Transaction) -> Bool {
    if tree.nodes[Int(node)].children.isEmpty { return removeEntries(of: node, in: &transaction) }
    var nodes: [Index] = []
    tree.forEachNode(under: node) { nodes.append($0) }
    var hasRemoved = false
    for node in nodes where removeEntries(of: node, in: &transaction) { hasRemoved = true }
    return hasRemoved
  }

  /// Joins the oldest two own parts of a counter, if there are too many.
  private mutating func fold(_ node: Index, in transaction: inout Transaction) {
    guard let writer = tree.dots.writer(of: replica) else { return }
    var own: [Index] = []
    tree.forEachEntry(of: node) { entry in
      let live = tree.entries[Int(entry)]
      if live.writer == writer, live.content.kind == .counter { own.append(entry) }
    }
    guard own.count > Self.partsPerCounter else { return }
    own.sort { tree.entries[Int($0)].counter < tree.entries[Int($1)].counter }
    guard case .amount(let older, _) = tree.entries[Int(own[0])].content,
      case .amount(let newer, let folds) = tree.entries[Int(own[1])].content
    else { return }
    remove(own[0], in: &transaction)
    transaction.steps.append(.replaced(tree.dot(of: own[1]), old: tree.entries[Int(own[1])].content))
    tree.replace(own[1], with: .amount(older &+ newer, folds: folds == .max ? folds : folds + 1))
  }

  // MARK: The end

  private mutating func undo(_ transaction: Transaction) {
    for step in transaction.steps.reversed() {
      switch step {
      case .inserted(let dot): if let entry = tree.entry(of: dot) { tree.remove(entry) }
      case .removed(let dot, let entry): tree.insert(dot, time: entry.time, content: entry.content, at: entry.node)
      case .replaced(let dot, let old): if let entry = tree.entry(of: dot) { tree.replace(entry, with: old) }
      }
    }
    for node in transaction.recorder.nodes { tree.prune(node) }
  }

  private mutating func finish(_ transaction: Transaction) -> Applied? {
    guard transaction.next > transaction.first else { return nil }
    let operation = Delta.Operation(
      replica: replica, counters: transaction.first..<transaction.next, time: transaction.time)
    var removed: [Dot] = []
    var folded: [UInt64] = []
    for step in transaction.steps {
      switch step {
      case .inserted: break
      case .removed(let dot, _): if !transaction.contains(dot) { removed.append(dot) }
      case .replaced(let dot, _): if !transaction.contains(dot) { folded.append(dot.counter) }
      }
    }
    let changes = transaction.recorder.changes(in: self, cause: .local, operation: operation)
    for node in transaction.recorder.nodes { tree.prune(node) }

    var entries: [Entry] = []
    if let writer = tree.dots.writer(of: replica) {
      // A part that was joined twice, or joined and then removed, is told once or not at all.
      folded = Set(folded).filter { tree.dots.entry($0, of: writer) != nil }.sorted()
      for counter in folded {
        if let entry = tree.dots.entry(counter, of: writer) { entries.append(tree.exported(entry)) }
      }
      tree.dots.forEach(of: writer, in: operation.counters) { entries.append(tree.exported($0.entry)) }
    } else {
      folded = []
    }
    // In order: each is then put at the end.
    let removedDots = DotSet(removed.sorted())
    log.append(operation, removed: removedDots, folded: folded)
    context.insert(operation.counters, of: replica)
    let delta = Delta(operation: operation, covered: removedDots, entries: entries)
    return Applied(delta: delta, changes: changes, removed: removed)
  }
}
