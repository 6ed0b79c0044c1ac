import GlueModel

/// The changes of a transaction, in order, and what they depend on.
public struct ModelEdits: Sendable {
  private(set) var list: [ModelEdit] = []
  /// Whether what was read is there still.
  private var reads: [@Sendable (borrowing Document) -> Bool] = []
  /// Of what was read first: while it is the same, nothing can have changed.
  private var revision: UInt64?
  private let link: ModelLink

  init(_ link: ModelLink) { self.link = link }

  /// What there was at a path before the transaction, with everything below it; `nil`: nothing. Without a path: everything.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public mutating func read(_ path: String? = nil) throws(ModelError) -> ModelNode? {
    let path = try ModelPath(orRoot: path)
    let node = look { $0.read(path) }
    reads.append { $0.read(path) == node }
    return node
  }

  private mutating func look<R: Sendable>(_ body: (borrowing Document) -> R) -> R {
    let (result, revision) = link.withState { (body($0.machine.document), $0.machine.revision) }
    if self.revision == nil { self.revision = revision }
    return result
  }

  /// What was written concurrently at a path: none if there is no conflict.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public mutating func candidates(at path: String) throws(ModelError) -> [ModelConflict.Candidate] {
    let path = try ModelPath(path)
    let find: @Sendable (borrowing Document) -> ModelConflict? = { $0.conflicts(under: path).first { $0.path == path } }
    let conflict = look(find)
    reads.append { find($0) == conflict }
    return conflict?.candidates ?? []
  }

  /// Whether what was read is there still.
  func isCurrent(in machine: ReplicaMachine) -> Bool {
    revision == nil || revision == machine.revision || reads.allSatisfy { $0(machine.document) }
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
