// The serialization layer alone: a datagram with an announcement to bytes, and back.

import GlueCore

let header = LongHeader(
  networkTag: 1, sender: EndpointID(41), incarnation: Incarnation(0x1F2E_3D4C), packetNumber: 1)
var announcement = Announcement(name: "kitchen-1")
announcement.uptimeMilliseconds = 1_250

var datagram = [UInt8](repeating: 0, count: WireLimits.baseDatagramBytes)
let size = datagram.withUnsafeMutableBytes { buffer in
  var writer = WireWriter(buffer)
  header.write(to: &writer)
  writer.frame(.announce, announcement)
  writer.pad(to: WireLimits.announceDatagramBytes)
  precondition(!writer.hasFailed, "the datagram is too small")
  return writer.count
}
print("\(size) bytes: " + datagram.prefix(size).map { String($0, radix: 16) }.joined(separator: " "))

// Reading never traps and never allocates what a length declares; whatever is wrong is an error.
try datagram.prefix(size).withUnsafeBytes { bytes in
  var reader = WireReader(bytes)
  print(try DatagramHeader.read(from: &reader))
  var frames = FrameReader(reader)
  while let frame = try frames.next() {
    switch frame.known {
    case .announce: print(try frame.decode(Announcement.self))
    case let type?: print("\(type), \(frame.body.count) bytes")
    case nil: print("unknown frame \(frame.type), skipped")
    }
  }
}
