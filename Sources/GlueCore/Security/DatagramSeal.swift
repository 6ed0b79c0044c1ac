import Crypto

/// Seals what this endpoint sends, and opens what others sealed with one of the network's keys (docs/protocol.md §2.4).
///
/// Each incarnation of a sender has its own key, and a packet number is used once within it: so no nonce repeats as long as
/// no two starts of an endpoint draw the same 128 bits (incarnation and salt).
final class DatagramSeal {
  /// What sealing adds to a datagram with a short header: the AEAD's tag.
  static let tagBytes = 16
  /// What it adds to one with a long header: the salt too.
  static let longOverhead = tagBytes + LongHeader.keySaltBytes
  private static let nonceBytes = 12

  /// Sealed bodies up to this size, tag included, are put together with their nonce before they are opened, by a copy
  /// more: 1,400 bytes take 2.2 µs so, and 3.2 if the parts are handed over each for itself. For 65,000 bytes it is 18
  /// and 14 µs.
  static let mostBytesToCombine = 8_192
  /// Opened bodies that are larger than this stay in the memory into which they were opened.
  static let mostBytesToCopy = 1_024

  /// Keys are kept for so many senders, apart from those with a session: twice the peers that an endpoint has by default.
  /// Deriving one costs some microseconds.
  private static let maximumKnownSenders = 2_048

  private struct Sender: Hashable {
    var id: EndpointID
    var incarnation: Incarnation
    var salt: UInt64
  }

  private let id: EndpointID
  private let incarnation: Incarnation
  private let salt: UInt64
  private let networkID: UInt64
  /// The first one seals; all open.
  private(set) var keys: [NetworkKey]
  private var tags: [UInt64] = []
  private var own: SymmetricKey
  /// The keys of senders that have proven to have the network's, one for each of ``keys``. Emptied when full: a sender that
  /// is still there is derived again.
  private var known: [Sender: [SymmetricKey]] = [:]
  init?(
    keys: [NetworkKey], id: EndpointID, incarnation: Incarnation, salt: UInt64, networkID: UInt64
  ) {
    guard let first = keys.first else { return nil }
    self.id = id
    self.incarnation = incarnation
    self.salt = salt
    self.networkID = networkID
    self.keys = keys
    own = first.senderKey(id: id, incarnation: incarnation, salt: salt)
    tags = keys.map { $0.tag(networkID: networkID) }
  }

  /// Takes other keys from now on. The first one seals.
  func change(to keys: [NetworkKey]) {
    guard let first = keys.first else { return }
    self.keys = keys
    own = first.senderKey(id: id, incarnation: incarnation, salt: salt)
    tags = keys.map { $0.tag(networkID: networkID) }
    known = [:]
  }

  // MARK: Sealing

  /// The network tag of what this endpoint sends.
  var tag: UInt64 { tags[0] }

  /// The fields of a long header that tell how it is sealed.
  var header: LongHeader.Seal { LongHeader.Seal(suite: LongHeader.Seal.aesGCM, keyEpoch: keys[0].epoch, salt: salt) }

  /// The bits of a short header that name the key.
  var shortEpoch: UInt8 { keys[0].epoch & 3 }

  /// Seals the body of a datagram in place, and puts the tag behind it. Returns the size of the whole.
  func seal(
    _ datagram: UnsafeMutableRawBufferPointer, headerBytes: Int, byteCount: Int, packetNumber: UInt64
  ) -> Int {
    let total = byteCount + Self.tagBytes
    precondition(total <= datagram.count, "\(byteCount) bytes and a tag in \(datagram.count) bytes")
    Self.seal(
      UnsafeMutableRawBufferPointer(rebasing: datagram[..<total]), headerBytes: headerBytes, key: own,
      packetNumber: packetNumber)
    return total
  }

  /// Seals the body of a datagram of a session later, with the key that this endpoint has now.
  func pending(packetNumber: UInt64) -> PendingSeal { PendingSeal(key: own, packetNumber: packetNumber) }

  /// Seals the body of a datagram in place; its last bytes are room for the tag.
  fileprivate static func seal(
    _ datagram: UnsafeMutableRawBufferPointer, headerBytes: Int, key: SymmetricKey, packetNumber: UInt64
  ) {
    let end = datagram.count - tagBytes
    let body = UnsafeMutableRawBufferPointer(rebasing: datagram[headerBytes..<end])
    // One copy of the whole: its parts, each asked of the box for itself, take 1.3 to 3 µs more.
    guard let nonce = nonce(packetNumber),
      let sealed = try? AES.GCM.seal(
        UnsafeRawBufferPointer(body), using: key, nonce: nonce,
        authenticating: UnsafeRawBufferPointer(rebasing: datagram[..<headerBytes])
      ).combined
    else {
      // Sizes are valid, so AES-GCM has no reason to refuse. If it did, nothing may leave that is not sealed.
      assertionFailure("a datagram of \(end) bytes could not be sealed")
      datagram.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    sealed.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: datagram[headerBytes...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[nonceBytes...]))
    }
  }

  private static func nonce(_ packetNumber: UInt64) -> AES.GCM.Nonce? {
    withUnsafeTemporaryAllocation(byteCount: nonceBytes, alignment: 8) { buffer in
      write(nonce: packetNumber, to: buffer)
      return try? AES.GCM.Nonce(data: UnsafeRawBufferPointer(buffer))
    }
  }

  private static func write(nonce packetNumber: UInt64, to buffer: UnsafeMutableRawBufferPointer) {
    buffer.storeBytes(of: 0, as: UInt32.self)
    buffer.storeBytes(of: packetNumber.bigEndian, toByteOffset: 4, as: UInt64.self)
  }

  // MARK: Opening

  /// Whether a tag is that of one of the keys.
  func isOwn(tag: UInt64) -> Bool { tags.contains(tag) }

  /// Opens a datagram with a long header; nil if it was not sealed with one of the keys.
  func open(_ datagram: UnsafeRawBufferPointer, headerBytes: Int, header: LongHeader, seal: LongHeader.Seal)
    -> PayloadBuffer?
  {
    guard seal.suite == LongHeader.Seal.aesGCM else { return nil }
    let sender = Sender(id: header.sender, incarnation: header.incarnation, salt: seal.salt)
    let candidates = senderKeys(id: sender.id, incarnation: sender.incarnation, salt: sender.salt)
    for (index, key) in keys.enumerated()
    where key.epoch == seal.keyEpoch && tags[index] == header.networkTag {
      guard
        let body = Self.open(
          datagram, headerBytes: headerBytes, key: candidates[index], packetNumber: header.packetNumber)
      else { continue }
      if known[sender] == nil {
        if known.count >= Self.maximumKnownSenders { known = [:] }
        known[sender] = candidates
      }
      return body
    }
    return nil
  }

  /// Opens a datagram of a session; nil if its peer did not seal it.
  ///
  /// - Parameter candidates: the peer's ``senderKeys(id:incarnation:salt:)``.
  func open(
    _ datagram: UnsafeRawBufferPointer, header: ShortHeader, candidates: [SymmetricKey], packetNumber: UInt64
  ) -> PayloadBuffer? {
    for (index, key) in keys.enumerated() where key.epoch & 3 == header.keyEpoch {
      let body = Self.open(
        datagram, headerBytes: WireLimits.shortHeaderBytes, key: candidates[index], packetNumber: packetNumber)
      if let body { return body }
    }
    return nil
  }

  /// Opens a datagram of a session that this endpoint itself has sealed.
  func openOwn(_ datagram: UnsafeRawBufferPointer, header: ShortHeader, packetNumber: UInt64) -> PayloadBuffer? {
    let candidates = senderKeys(id: id, incarnation: incarnation, salt: salt)
    return open(datagram, header: header, candidates: candidates, packetNumber: packetNumber)
  }

  /// Whether the sender of a datagram, if it is who it says, has shown that it has the network's key. Its keys are at hand then.
  func knows(_ header: LongHeader, _ seal: LongHeader.Seal) -> Bool {
    known[Sender(id: header.sender, incarnation: header.incarnation, salt: seal.salt)] != nil
  }

  /// The keys of a sender, one for each of ``keys``.
  func senderKeys(id: EndpointID, incarnation: Incarnation, salt: UInt64) -> [SymmetricKey] {
    let sender = Sender(id: id, incarnation: incarnation, salt: salt)
    return known[sender] ?? keys.map { $0.senderKey(id: id, incarnation: incarnation, salt: salt) }
  }

  private static func open(
    _ datagram: UnsafeRawBufferPointer, headerBytes: Int, key: SymmetricKey, packetNumber: UInt64
  ) -> PayloadBuffer? {
    guard datagram.count >= headerBytes + tagBytes,
      let box = box(UnsafeRawBufferPointer(rebasing: datagram[headerBytes...]), packetNumber: packetNumber),
      let body = try? AES.GCM.open(
        box, using: key, authenticating: UnsafeRawBufferPointer(rebasing: datagram[..<headerBytes]))
    else { return nil }
    return body.withUnsafeBytes { bytes in
      // So many bytes are on the heap, at one address as long as somebody has them; only a few are within the value itself.
      bytes.count > mostBytesToCopy ? PayloadBuffer(bytes, in: body) : PayloadBuffer(copying: bytes)
    }
  }

  /// A sealed body and its tag, as the cryptographic library takes them.
  private static func box(_ sealed: UnsafeRawBufferPointer, packetNumber: UInt64) -> AES.GCM.SealedBox? {
    guard sealed.count > mostBytesToCombine else {
      return withUnsafeTemporaryAllocation(byteCount: nonceBytes + sealed.count, alignment: 8) { buffer in
        write(nonce: packetNumber, to: buffer)
        UnsafeMutableRawBufferPointer(rebasing: buffer[nonceBytes...]).copyMemory(from: sealed)
        return try? AES.GCM.SealedBox(
          combined: UnsafeRawBufferPointer(rebasing: buffer[..<(nonceBytes + sealed.count)]))
      }
    }
    let end = sealed.count - tagBytes
    return nonce(packetNumber).flatMap {
      try? AES.GCM.SealedBox(
        nonce: $0, ciphertext: UnsafeRawBufferPointer(rebasing: sealed[..<end]),
        tag: UnsafeRawBufferPointer(rebasing: sealed[end...]))
    }
  }
}

/// What is left to do of a datagram of a session that has been written in a network with a key. It needs nothing of the endpoint, so it can be done by whoever
/// sends the datagram, while others use the endpoint: sealing 64 KiB takes longer than anything else that is done for them.
package struct PendingSeal: Hashable, Sendable {
  fileprivate let key: SymmetricKey
  fileprivate let packetNumber: UInt64

  // A number is used once.
  package static func == (first: PendingSeal, second: PendingSeal) -> Bool { first.packetNumber == second.packetNumber }
  package func hash(into hasher: inout Hasher) { hasher.combine(packetNumber) }

  /// Seals the datagram in place.
  package func seal(_ datagram: UnsafeMutableRawBufferPointer) {
    DatagramSeal.seal(
      datagram, headerBytes: WireLimits.shortHeaderBytes, key: key, packetNumber: packetNumber)
  }
}

/// A datagram of a session as it was written into a buffer: with room for the tag at its end, if it is still to be sealed.
struct WrittenDatagram {
  var byteCount: Int
  var pending: PendingSeal?

  /// Seals it, if there is a key. Returns its size.
  func seal(in buffer: UnsafeMutableRawBufferPointer) -> Int {
    pending?.seal(UnsafeMutableRawBufferPointer(rebasing: buffer[..<byteCount]))
    return byteCount
  }
}
