import GlueQuorum

/// What is in the directory of a log: as programs see it, and as a power cut would leave it.
package struct SimulatedLogDisk: Sendable {
  /// What a power cut takes of what was not synced.
  package enum Loss: Hashable, Sendable {
    /// Nothing: all of it is there.
    case nothing
    /// All of it.
    case everything
    /// Each sector, change of a size and removal of a name is there or not; other changes of names as far as one of them.
    case sectors(seed: UInt64)
    /// What was done last: the first bytes of each write, and the first changes of names, are there.
    case end(seed: UInt64)
  }

  private enum Change {
    case write(offset: Int, bytes: [UInt8])
    case size(Int)
  }

  private enum NameChange {
    case made(String, file: Int)
    case renamed(String, to: String)
    case removed(String)
  }

  private struct File {
    var content: [UInt8] = []
    var durable: [UInt8] = []
    var pending: [Change] = []
  }

  /// What disks write as a whole or not at all.
  private static let sectorBytes = 512

  private var files: [File] = []
  private var visible: [String: Int] = [:]
  private var durableNames: [String: Int] = [:]
  private var pendingNames: [NameChange] = []

  /// An empty directory.
  package init() {}

  /// The names, in order.
  package var names: [String] { visible.keys.sorted() }
  /// The bytes of a file; nil: there is none.
  package func content(of name: String) -> [UInt8]? { visible[name].map { files[$0].content } }
  /// The bytes of all files that have a name.
  package var byteCount: Int { visible.values.reduce(0) { $0 + files[$1].content.count } }

  // MARK: What programs do

  mutating func open(_ name: String) -> Int {
    if let file = visible[name] { return file }
    files.append(File())
    change(.made(name, file: files.count - 1))
    return files.count - 1
  }

  mutating func rename(_ name: String, to new: String) { change(.renamed(name, to: new)) }
  mutating func remove(_ name: String) { change(.removed(name)) }

  mutating func syncNames() {
    for change in pendingNames { Self.apply(change, to: &durableNames) }
    pendingNames = []
  }

  func size(_ file: Int) -> Int { files[file].content.count }

  mutating func write(_ bytes: [UInt8], at offset: Int, _ file: Int) {
    change(file, .write(offset: offset, bytes: bytes))
  }

  mutating func resize(_ file: Int, to size: Int) { change(file, .size(size)) }

  mutating func sync(_ file: Int) {
    for change in files[file].pending { Self.apply(change, to: &files[file].durable) }
    files[file].pending = []
  }

  /// A sync that fails: some of it is on disk, programs see all of it, and no later sync writes the rest.
  mutating func failToSync(_ file: Int, seed: UInt64) {
    var dice = Dice(seed: seed, concern: .disks)
    files[file].durable = Self.left(of: files[file], .sectors(seed: seed), &dice)
    files[file].pending = []
  }

  private mutating func change(_ file: Int, _ change: Change) {
    Self.apply(change, to: &files[file].content)
    files[file].pending.append(change)
  }

  private mutating func change(_ change: NameChange) {
    Self.apply(change, to: &visible)
    pendingNames.append(change)
  }

  private static func apply(_ change: Change, to content: inout [UInt8]) {
    switch change {
    case .write(let offset, let bytes): put(bytes[...], at: offset, in: &content)
    case .size(let size): resize(&content, to: size)
    }
  }

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in content: inout [UInt8]) {
    if content.count < offset + bytes.count { resize(&content, to: offset + bytes.count) }
    content.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
  }

  private static func resize(_ content: inout [UInt8], to size: Int) {
    content.removeLast(max(0, content.count - size))
    content.append(contentsOf: repeatElement(0, count: max(0, size - content.count)))
  }

  private static func apply(_ change: NameChange, to names: inout [String: Int]) {
    switch change {
    case .made(let name, let file): names[name] = file
    case .renamed(let name, let new): if let file = names.removeValue(forKey: name) { names[new] = file }
    case .removed(let name): names[name] = nil
    }
  }

  // MARK: What happens to it

  /// What a power cut leaves.
  package func afterPowerCut(_ loss: Loss) -> SimulatedLogDisk {
    let seed: UInt64 =
      switch loss {
      case .nothing, .everything: 0
      case .sectors(let seed), .end(let seed): seed
      }
    var dice = Dice(seed: seed, concern: .disks)
    var left = self
    for file in files.indices {
      left.files[file].durable = Self.left(of: files[file], loss, &dice)
      left.files[file].content = left.files[file].durable
      left.files[file].pending = []
    }
    let kept: Int =
      switch loss {
      case .nothing: pendingNames.count
      case .everything: 0
      case .sectors, .end: Int(dice.below(UInt64(pendingNames.count) + 1))
      }
    for change in pendingNames[..<kept] { Self.apply(change, to: &left.durableNames) }
    if case .sectors = loss {
      for change in pendingNames[kept...] {
        if case .removed = change, dice.chance(percent: 50) { Self.apply(change, to: &left.durableNames) }
      }
    }
    left.visible = left.durableNames
    left.pendingNames = []
    return left
  }

  private static func left(of file: File, _ loss: Loss, _ dice: inout Dice) -> [UInt8] {
    var content = file.durable
    for change in file.pending {
      switch (loss, change) {
      case (.nothing, _): apply(change, to: &content)
      case (.everything, _): break
      case (.sectors, .size), (.end, .size): if dice.chance(percent: 50) { apply(change, to: &content) }
      case (.sectors, .write(let offset, let bytes)):
        var start = 0
        while start < bytes.count {
          let end = min(bytes.count, start + sectorBytes - (offset + start) % sectorBytes)
          if dice.chance(percent: 50) { put(bytes[start..<end], at: offset + start, in: &content) }
          start = end
        }
      case (.end, .write(let offset, let bytes)):
        put(bytes.prefix(Int(dice.below(UInt64(bytes.count) + 1))), at: offset, in: &content)
      }
    }
    return content
  }

  /// A bit of a file turns over.
  package mutating func flip(bit: Int, ofByte offset: Int, in name: String) {
    guard var content = content(of: name), content.indices.contains(offset) else { return }
    content[offset] ^= 1 << UInt8(bit & 7)
    put(content, named: name)
  }

  /// A file has this content, synced, instead of what it had; nil: there is no such file.
  package mutating func put(_ content: [UInt8]?, named name: String) {
    if let content {
      let file = open(name)
      files[file] = File(content: content, durable: content)
    } else {
      remove(name)
    }
    syncNames()
  }
}
