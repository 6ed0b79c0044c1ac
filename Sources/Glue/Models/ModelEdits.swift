import GlueModel

/// The changes of a transaction, in order, and what they depend on.
public struct ModelEdits: Sendable {
  private(set) var list: [ModelEdit] = []
  private var reads: [(path: ModelPath, node: ModelNode?)] = []
  /// Of what was read first: while it is the same, nothing can have changed.
  private var revision: UInt64?
  private let link: ModelLink

  init(_ link: ModelLink) { self.link = link }

  /// What there was at a path before the transaction, with everything below it; `nil`: nothing. Without a path: everything.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public mutating func read(_ path: String? = nil) throws(ModelError) -> ModelNode? {
    let path = try ModelPath(orRoot: path)
    let (node, revision) = link.withState { ($0.machine.document.read(path), $0.machine.revision) }
    reads.append((path, node))
    if self.revision == nil { self.revision = revision }
    return node
  }

  /// What was written concurrently at a path: none if there is no conflict.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func candidates(at path: String) throws(ModelError) -> [ModelConflict.Candidate] {
    let path = try ModelPath(path)
    return link.withState { $0.machine.document.conflicts(under: path).first { $0.path == path }?.candidates ?? [] }
  }

  /// Whether what was read is there still.
  func isCurrent(in machine: ReplicaMachine) -> Bool {
    revision == nil || revision == machine.revision || reads.allSatisfy { machine.document.read($0.path) == $0.node }
  }

  /// Replaces what is at a path, and below, by a value.
  public mutating func set(_ path: String, to value: ModelValue) throws(ModelError) {
    list.append(.set(try ModelPath(path), value))
  }
  /// Removes what is at a path, and below.
  public mutating func delete(_ path: String) throws(ModelError) { list.append(.delete(try ModelPath(path))) }
  /// Adds to a counter, or makes one.
  public mutating func increment(_ path: String, by amount: Int64 = 1) throws(ModelError) {
    list.append(.increment(try ModelPath(path), amount))
  }
  /// Adds an element to a set, or makes one.
  public mutating func add(_ element: ModelValue, to path: String) throws(ModelError) {
    list.append(.add(try ModelPath(path), element))
  }
  /// Removes an element from a set.
  public mutating func remove(_ element: ModelValue, from path: String) throws(ModelError) {
    list.append(.remove(try ModelPath(path), element))
  }
  /// Makes a map that is there even if it is empty.
  public mutating func makeMap(_ path: String) throws(ModelError) { list.append(.makeMap(try ModelPath(path))) }
  /// Ends a conflict.
  public mutating func resolve(_ path: String, _ resolution: ModelResolution) throws(ModelError) {
    list.append(.resolve(try ModelPath(path), resolution))
  }
}

extension ModelPath {
  /// The path with that text; without one: what everything is below of.
  init(orRoot text: String?) throws(ModelError) {
    self = if let text { try ModelPath(text) } else { .root }
  }
}
