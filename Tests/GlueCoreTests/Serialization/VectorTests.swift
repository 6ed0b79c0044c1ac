import GlueAddress
import Testing

@testable import GlueCore

/// The vectors of docs/protocol.md §11: each decodes to its fields, and its fields encode to it.
@Suite struct VectorTests {
  @Test(arguments: Vector.all) func decodes(_ vector: Vector) throws {
    let (decoded, _) = Self.decode(vector)
    switch decoded {
    case .success(let fields): #expect(fields == vector.decoded)
    case .failure(let error): #expect(error.name == vector.error)
    }
  }

  @Test(arguments: Vector.all.filter { $0.decoded != nil && $0.reencodes != false })
  func encodes(_ vector: Vector) {
    let (_, encoded) = Self.decode(vector)
    #expect(JSON(hex: encoded ?? []) == .string(vector.hex))
  }

  @Test func everyFrameAndControlMessageHasVectors() {
    var names: Set<String> = []
    func collect(_ json: JSON) {
      switch json {
      case .object(let fields):
        for case .string(let name) in [fields["type"], fields["message"]] where fields["error"] == nil {
          names.insert(name)
        }
        fields.values.forEach(collect)
      case .array(let elements): elements.forEach(collect)
      case .bool, .number, .string: break
      }
    }
    Vector.all.compactMap(\.decoded).forEach(collect)
    let control = [
      "SUBSCRIBE", "UNSUBSCRIBE", "INTEREST", "OPEN", "CLOSE", "MISMATCH", "INTRODUCE", "REFUSED", "HAVE", "FETCH",
      "ANSWERED",
      "STORED",
    ]
    #expect(names.isSuperset(of: FrameType.allCases.map(\.documentName) + control))
    #expect(Vector.all.count { $0.error != nil } >= 8)
  }

  // MARK: Decoding into the vectors' shape, and back from the values

  struct Failure: Error { var name: String }

  /// The fields that the hex decodes to, and the bytes that those values encode to.
  static func decode(_ vector: Vector) -> (Result<JSON, Failure>, [UInt8]?) {
    let bytes = [UInt8](hex: vector.hex)
    do {
      switch vector.kind {
      case .datagram: return try datagram(bytes)
      case .sealed: return try sealed(bytes, vector)
      case .control:
        guard let message = try bytes.read({ (r) throws(WireError) in try ControlMessage.read(from: &r) }) else {
          return (.success(["message": JSON(bytes[0]), "skipped": true]), nil)
        }
        return (.success(message.fields), message.encoded())
      case .attributes:
        let attributes = try bytes.read { (r) throws(WireError) in try Attributes(from: &r) }
        return (.success(["attributes": attributes.fields(meanings: true)]), attributes.encoded())
      case .varint:
        let value = try bytes.read { (r) throws(WireError) in try r.varint() }
        return (.success(["value": JSON(value)]), .written { $0.varint(value) })
      case .streamHash:
        let (publisher, incarnation, number) = try bytes.read { (r) throws(WireError) in
          (try r.endpointID(), try r.incarnation(), try r.u64())
        }
        let hash = StreamHash(publisher: publisher, incarnation: incarnation, number: number)
        return (.success(["hash": JSON(hash.rawValue)]), bytes)
      case .model, .quorum, .quorumState: return (.failure(Failure(name: "not of the core")), nil)
      }
    } catch let error as WireError {
      return (.failure(Failure(name: error.className)), nil)
    } catch {
      return (.failure(Failure(name: "\(error)")), nil)
    }
  }

  private static func sealed(_ bytes: [UInt8], _ vector: Vector) throws -> (Result<JSON, Failure>, [UInt8]?) {
    let forged = Failure(name: "forged")
    let key = NetworkKey([UInt8](hex: vector.key!))!
    var reader = bytes.withUnsafeBytes { WireReader($0) }
    let header = try bytes.withUnsafeBytes { buffer in
      reader = WireReader(buffer)
      return try DatagramHeader.read(from: &reader)
    }
    let headerBytes = bytes.count - reader.remaining
    /// Opens as a stranger, and seals again as the sender.
    func open(
      id: UInt64, incarnation: UInt64, salt: UInt64, number: UInt64,
      _ open: (DatagramSeal, UnsafeRawBufferPointer) -> PayloadBuffer?
    ) throws -> (Result<JSON, Failure>, [UInt8]?) {
      let seal = DatagramSeal(
        keys: [key], id: EndpointID(id), incarnation: Incarnation(incarnation), salt: salt,
        networkID: vector.networkID!)!
      guard let body = bytes.withUnsafeBytes({ open(seal, $0) }) else { throw forged }
      var again = [UInt8](bytes[..<headerBytes]) + [UInt8](body.bytes)
      let count = again.count
      again += [UInt8](repeating: 0, count: DatagramSeal.tagBytes)
      again.withUnsafeMutableBytes {
        _ = seal.seal($0, headerBytes: headerBytes, byteCount: count, packetNumber: number)
      }
      return (.success(["header": header.fields, "body": JSON(hex: body.bytes)]), again)
    }
    do {
      switch header {
      case .long(let header):
        guard let fields = header.seal else { throw forged }
        return try open(
          id: header.sender.rawValue, incarnation: header.incarnation.rawValue, salt: fields.salt,
          number: header.packetNumber
        ) { seal, datagram in
          guard seal.isOwn(tag: header.networkTag) else { return nil }
          return seal.open(datagram, headerBytes: headerBytes, header: header, seal: fields)
        }
      case .short(let header):
        let (id, incarnation, salt) = (vector.sender!, vector.incarnation!, vector.keySalt!)
        return try open(id: id, incarnation: incarnation, salt: salt, number: vector.packetNumber!) { seal, datagram in
          let keys = seal.senderKeys(id: EndpointID(id), incarnation: Incarnation(incarnation), salt: salt)
          return seal.open(datagram, header: header, candidates: keys, packetNumber: vector.packetNumber!)
        }
      case .reset: throw forged
      }
    } catch let failure as Failure {
      return (.failure(failure), nil)
    }
  }

  private static func datagram(_ bytes: [UInt8]) throws -> (Result<JSON, Failure>, [UInt8]?) {
    var frames: [JSON] = []
    var encoded: [UInt8] = []
    let header = try bytes.withUnsafeBytes { buffer in
      var reader = WireReader(buffer)
      let header = try DatagramHeader.read(from: &reader)
      encoded = .written { header.write(to: &$0) }!
      var frameReader = FrameReader(reader)
      do throws(WireError) {
        while let frame = try frameReader.next() {
          guard let type = frame.known else {
            guard !frame.mustUnderstand else {
              frames.append(["type": JSON(frame.type), "error": "mustUnderstand"])
              break
            }
            frames.append(["type": JSON(frame.type), "skipped": true])
            continue
          }
          let (fields, body) = frame.fields(type, under: header)
          frames.append(["type": .string(type.documentName)] + fields)
          encoded += .written { writer in _ = writer.frame(type) { $0.bytes(body) } }!
        }
      } catch {
        frames.append(["error": .string(error.className)])
      }
      return header
    }
    return (.success(["header": header.fields, "frames": .array(frames)]), encoded)
  }
}

extension RawFrame {
  /// The fields under their names in the document, and the body that they encode to.
  func fields(_ type: FrameType, under header: DatagramHeader) -> (JSON, [UInt8]) {
    let form: FrameType.HeaderForm = if case .long = header { .long } else { .short }
    guard type.headerForm == .any || type.headerForm == form else { return (["error": "wrongHeader"], []) }
    func all<Body: FrameBody>(_: Body.Type, _ fields: (Body) -> JSON) throws(WireError) -> (JSON, [UInt8]) {
      let value: Body = try decode()
      return (fields(value), .written { value.write(to: &$0) } ?? [])
    }
    do throws(WireError) {
      switch type {
      case .pad: return (["bytes": JSON(body.count)], Array(body))
      case .announce: return try all(Announcement.self, \.fields)
      case .challenge: return try all(Challenge.self) { ["token": JSON($0.token)] }
      case .answer:
        return try all(Answer.self) { ["token": JSON($0.token), "forIncarnation": JSON($0.incarnation.rawValue)] }
      case .welcome: return try all(Welcome.self, \.fields)
      case .clash: return try all(Clash.self, \.fields)
      case .bye: return try all(ByeReason.self) { ["reason": JSON($0.rawValue)] }
      case .ack, .groupAck:
        return try all(Ack.self) {
          ["largest": JSON($0.largest), "delay": JSON($0.delayMicroseconds), "count": JSON($0.count)]
        }
      case .mtuProbe, .mtuReply: return try all(MTUProbe.self) { ["size": JSON($0.datagramBytes)] }
      case .relay: return try relayFields()
      case .data: return try dataFields()
      case .status: return try all(Status.self, \.fields)
      case .heartbeat:
        return try all(Heartbeat.self) {
          ["stream": JSON($0.stream), "first": JSON($0.first), "end": JSON($0.end)]
        }
      case .gap: return try all(Gap.self, \.fields)
      }
    } catch {
      return (["error": .string(error.className)], [])
    }
  }

  private func relayFields() throws(WireError) -> (JSON, [UInt8]) {
    var reader = WireReader(body)
    let header = try RelayHeader(from: &reader)
    let datagram = reader.rest()
    return (
      [
        "hopsLeft": JSON(header.hopsLeft), "destination": JSON(header.destination.id.rawValue),
        "destinationTag": JSON(header.destination.tag), "origin": JSON(header.origin.id.rawValue),
        "originTag": JSON(header.origin.tag), "held": JSON(header.heldMicroseconds), "datagram": JSON(hex: datagram),
      ], .written { header.write(to: &$0) }! + Array(datagram)
    )
  }

  private func dataFields() throws(WireError) -> (JSON, [UInt8]) {
    var reader = WireReader(body)
    let header = try DataHeader(from: &reader)
    var units = UnitReader(reader)
    var fields: [JSON] = []
    var encoded: [UInt8] = .written { header.write(to: &$0) }!
    while let unit = try units.next() {
      fields.append(try unit.fields())
      encoded += .written { unit.write(to: &$0) }!
    }
    return (
      [
        "stream": JSON(header.stream), "position": JSON(header.position), "lag": JSON(header.lag),
        "age": JSON(header.ageMicroseconds), "units": .array(fields),
      ], encoded
    )
  }
}
