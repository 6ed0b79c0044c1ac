import GlueCore

/// What stands in the files of a log. docs/quorum-log.md has it byte by byte.
///
/// ```
/// identity         magic "GLQI", version u8, storage u64, is a member u8, cluster 16 bytes, checksum u32
/// snapshot-INDEX   magic "GLQS", version u8, cluster 16, storage u64, index u64, term u64, membership, bytes of the state u64, state, checksum u32
/// log-NUMBER       header: magic "GLQL", version u8, cluster 16, storage u64, number u64, last checksum of the segment before u32, term u64,
///                  vote (endpoint u64 and storage u64; 0: nobody), checksum u32
///                  then batches: magic "GLQB", bytes of the records u32, checksum of the batch before u32, checksum u32, records
/// mark             number u64, offset u64, checksum u32: up to where the log was synced when it was written. Not synced itself
/// records          kind u8: 1 term varint and vote; 2 entry; 3 a snapshot was taken over: index varint, term varint,
///                  what follows stays u8
/// ```
/// INDEX and NUMBER are 16 hexadecimal digits. A checksum is CRC-32C over everything before it; that of a batch also over where it stands: storage,
/// number of the segment and offset.
enum LogFormat {
  static let identityName = "identity"
  static let markName = "mark"
  static let version: UInt8 = 1
  static let identityMagic: [UInt8] = Array("GLQI".utf8)
  static let snapshotMagic: [UInt8] = Array("GLQS".utf8)
  static let segmentMagic: [UInt8] = Array("GLQL".utf8)
  static let batchMagic: [UInt8] = Array("GLQB".utf8)
  static let segmentHeaderBytes = 4 + 1 + 16 + 8 + 8 + 4 + 8 + 16 + 4
  static let batchHeaderBytes = 4 + 4 + 4 + 4

  enum Record {
    static let hardState: UInt8 = 1
    static let entry: UInt8 = 2
    static let snapshot: UInt8 = 3
  }

  static func snapshotName(_ index: LogIndex) -> String { "snapshot-" + hexadecimal(index) }
  static func segmentName(_ number: UInt64) -> String { "log-" + hexadecimal(number) }

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// The number in a name that begins so.
  static func number(of name: String, _ prefix: String) -> UInt64? {
    guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 16 else { return nil }
    guard let number = UInt64(name.dropFirst(prefix.count), radix: 16), number <= WireLimits.position else {
      return nil
    }
    return prefix + hexadecimal(number) == name ? number : nil
  }

  /// Bytes with their checksum behind them.
  static func sealed(atMost bound: Int, _ body: (inout WireWriter) -> Void) -> [UInt8] {
    var bytes = WireWriter.encode(atMost: bound, body)
    let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
    for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: checksum >> shift)) }
    return bytes
  }

  /// What is before the checksum, if that is right.
  static func opened(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    guard bytes.count >= 4 else { return nil }
    let content = bytes.dropLast(4)
    let stored = bytes.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return content.withUnsafeBytes { CRC32C.checksum($0) } == stored ? content : nil
  }

  /// The checksum of a batch at its place.
  static func checksum(
    ofBatch payload: UnsafeRawBufferPointer, previous: UInt32, _ place: Place
  ) -> UInt32 {
    let header = WireWriter.encode(atMost: 40) { writer in
      writer.u64(place.storage.number)
      writer.u64(place.segment)
      writer.u64(UInt64(place.offset))
      writer.u32(UInt32(payload.count))
      writer.u32(previous)
    }
    return CRC32C.checksum(payload, after: header.withUnsafeBytes { CRC32C.checksum($0) })
  }

  /// Where a batch stands.
  struct Place {
    var storage: StorageID
    var segment: UInt64
    var offset: Int
  }
}

extension WireWriter {
  mutating func vote(_ member: MemberID?) {
    u64(member?.endpoint.rawValue ?? 0)
    u64(member?.storage.number ?? 0)
  }
}

extension WireReader {
  mutating func vote() throws(WireError) -> MemberID? {
    let (endpoint, storage) = (try u64(), try u64())
    guard (endpoint == 0) == (storage == 0) else { throw .invalidValue(.quorumMessage) }
    return endpoint == 0 ? nil : MemberID(EndpointID(endpoint), StorageID(storage))
  }
}

// MARK: Identity

struct LogIdentity: Equatable {
  var storage: StorageID
  var cluster: ClusterID?

  func encoded() -> [UInt8] {
    LogFormat.sealed(atMost: 64) { writer in
      writer.bytes(LogFormat.identityMagic)
      writer.u8(LogFormat.version)
      writer.u64(storage.number)
      writer.u8(cluster == nil ? 0 : 1)
      writer.cluster(cluster ?? ClusterID(high: 0, low: 0))
    }
  }

  init(storage: StorageID, cluster: ClusterID? = nil) {
    self.storage = storage
    self.cluster = cluster
  }

  init(_ bytes: [UInt8]) throws(LogError) {
    let content = try LogFormat.check(bytes, LogFormat.identityMagic, LogFormat.identityName)
    let identity = try? Array(content).read { (reader) throws(WireError) -> LogIdentity in
      _ = try reader.bytes(5)
      let storage = try reader.storage()
      let isMember = try reader.flag()
      let cluster = try reader.cluster()
      return LogIdentity(storage: storage, cluster: isMember ? cluster : nil)
    }
    guard let identity else { throw .damaged(file: LogFormat.identityName, offset: 5, problem: "it makes no sense") }
    self = identity
  }
}

extension LogFormat {
  /// The content of a whole file, if magic, version and checksum are right.
  static func check(_ bytes: [UInt8], _ magic: [UInt8], _ name: String) throws(LogError) -> ArraySlice<UInt8> {
    guard bytes.starts(with: magic) else {
      throw .damaged(file: name, offset: 0, problem: "it does not begin as such a file")
    }
    guard bytes.count > 4, bytes[4] == version else { throw .unknownFormat(file: name) }
    guard let content = opened(bytes) else { throw .damaged(file: name, offset: 0, problem: "its checksum is wrong") }
    return content
  }
}

// MARK: Snapshots

extension RaftSnapshot {
  func encodedFile(_ cluster: ClusterID, _ storage: StorageID) -> [UInt8] {
    LogFormat.sealed(atMost: 64 + Membership.encodedBound + state.count) { writer in
      writer.bytes(LogFormat.snapshotMagic)
      writer.u8(LogFormat.version)
      writer.cluster(cluster)
      writer.u64(storage.number)
      writer.u64(index)
      writer.u64(term)
      membership.write(to: &writer)
      writer.u64(UInt64(state.count))
      writer.bytes(state)
    }
  }

  init(file bytes: [UInt8], named name: String, _ cluster: ClusterID, _ storage: StorageID) throws(LogError) {
    let content = try LogFormat.check(bytes, LogFormat.snapshotMagic, name)
    let parts = content.withUnsafeBytes { bytes -> (ClusterID, StorageID, RaftSnapshot)? in
      var reader = WireReader(bytes)
      do throws(WireError) {
        _ = try reader.bytes(5)
        let (cluster, storage) = (try reader.cluster(), try reader.storage())
        let (index, term) = (try reader.u64(), try reader.u64())
        let membership = try Membership(from: &reader)
        guard try reader.u64() == UInt64(reader.remaining), index > 0, index <= WireLimits.position,
          term <= WireLimits.position
        else { return nil }
        return (
          cluster, storage, RaftSnapshot(index: index, term: term, membership: membership, state: Array(reader.rest()))
        )
      } catch {
        return nil
      }
    }
    guard let parts, LogFormat.snapshotName(parts.2.index) == name else {
      throw .damaged(file: name, offset: 5, problem: "it makes no sense")
    }
    guard parts.0 == cluster, parts.1 == storage else {
      throw .damaged(file: name, offset: 5, problem: "it belongs to another storage or quorum")
    }
    self = parts.2
  }
}
