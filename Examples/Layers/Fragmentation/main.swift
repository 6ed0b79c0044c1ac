// The fragmentation layer alone: a message in parts that fit into datagrams, and whole again.

import GlueCore

let message = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 / 7) }

// A unit holds one or more fragments of a message: a few bytes of header, and their part of it.
let whole: [UInt8] = encoded { writer in
  Unit.writeHeader(
    to: &writer, flags: [.first, .last], length: message.count, timeMicroseconds: 0, lifetimeMicroseconds: nil,
    totalBytes: UInt64(message.count))
  writer.bytes(message)
}

// As one unit it does not fit into a datagram of 1,200 bytes; so it is sent in parts.
var units: [[UInt8]] = []
try whole.withUnsafeBytes { bytes in
  var reader = UnitReader(bytes)
  guard let unit = try reader.next() else { return }
  var sent: UInt64 = 0
  while sent < unit.fragments, let part = unit.part(skipping: sent, atMost: .max, maximumBytes: 1_200) {
    units.append(encoded { part.write(to: &$0) })
    sent += part.fragments
  }
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

/// What is written.
func encoded(_ write: (inout WireWriter) -> Void) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: 8_192) { buffer, count in
    var writer = WireWriter(UnsafeMutableRawBufferPointer(buffer))
    write(&writer)
    count = writer.count
  }
}
