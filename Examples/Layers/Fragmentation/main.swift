// The fragmentation layer alone: a message in fragments that fit into datagrams, and whole again.

import GlueCore

let message = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 / 7) }

// Each fragment on the wire is a unit: a few bytes of header, and its part of the message.
let units: [[UInt8]] = Fragmenter(bodyBytes: message.count).map { fragment in
  var unit = [UInt8](repeating: 0, count: fragment.length + 32)
  let size = unit.withUnsafeMutableBytes { buffer in
    var writer = WireWriter(buffer)
    Unit.writeHeader(
      to: &writer, flags: fragment.flags, length: fragment.length, timeMicroseconds: 0, lifetimeMicroseconds: nil,
      totalBytes: UInt64(message.count))
    writer.bytes(Array(message[fragment.offset..<fragment.offset + fragment.length]))
    return writer.count
  }
  return Array(unit.prefix(size))
}
print("\(message.count) bytes in \(units.count) units, the largest of \(units.map(\.count).max()!) bytes")

// The transport below brings units in order, each once; memory grows only with what has arrived.
var reassembler = Reassembler()
var rebuilt: [UInt8]?
for unit in units {
  try unit.withUnsafeBytes { bytes in
    var reader = UnitReader(bytes)
    while let next = try reader.next() {
      switch try reassembler.add(next) {
      case .incomplete: break
      case .whole(let body): rebuilt = Array(body)
      case .assembled(let buffer): rebuilt = Array(buffer.bytes)
      case .orphan: print("a unit without its beginning")
      }
    }
  }
}
precondition(rebuilt == message, "the message differs")
print("rebuilt")
