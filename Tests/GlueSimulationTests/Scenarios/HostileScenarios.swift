import GlueAddress
import GlueCore
import GlueSimulation
import Testing

/// What a peer gone wrong could do within a session. The frames are put into real datagrams of the session, in place of what
/// they carried.
@Suite(.apart) struct HostileScenarios {
  /// A publisher, a subscriber, a few messages; then frames of the test's choice come from the publisher.
  private func session(seed: UInt64, _ frames: (inout WireWriter) -> Void) throws -> (Scenario, SimulatedEndpoint) {
    let scenario = Scenario(hosts: 2, seed: seed)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    var header: [UInt8] = []
    scenario.simulation.onDatagram = { bytes, endpoint, _ in
      if endpoint === publisher, bytes[0] >= 0x80, bytes.count > 9 { header = [UInt8](bytes[..<9]) }
    }
    scenario.publish(3, from: publisher)
    scenario.run(.milliseconds(100))
    #expect(scenario.numbers(at: subscriber) == [0, 1, 2])
    // The next packet numbers, so that the datagram is taken.
    let number = UInt32(header[5]) | UInt32(header[6]) << 8 | UInt32(header[7]) << 16 | UInt32(header[8]) << 24
    withUnsafeBytes(of: (number + 1).littleEndian) { header.replaceSubrange(5..<9, with: $0) }
    var storage = [UInt8](repeating: 0, count: 1_400)
    let bytes = storage.withUnsafeMutableBytes { storage in
      var writer = WireWriter(storage)
      writer.bytes(header)
      frames(&writer)
      return [UInt8](writer.written)
    }
    scenario.simulation.inject(bytes, from: scenario.simulation.network.address(of: 0), to: 1)
    scenario.run(.milliseconds(1))
    return (scenario, subscriber)
  }

  private func gap(position: UInt64, count: UInt64) -> (inout WireWriter) -> Void {
    { writer in
      _ = writer.frame(.gap) { body in
        body.varint(2)
        body.varint(position)
        body.varint(count)
        body.varint(3)
        body.varint(1)
        body.u8(1)
      }
    }
  }

  /// A tiny GAP with a huge range ate memory (CVE-2025-64438). Here any range costs the same.
  @Test(arguments: [1 << 20, 1 << 40, 1 << 61, .max] as [UInt64])
  func aHugeGapCostsNothing(count: UInt64) throws {
    let (scenario, subscriber) = try session(seed: 64_438, gap(position: 3, count: count))
    #expect(subscriber.machine.bufferedBytes < 4_096)
    #expect(scenario.losses.count <= 1)
  }

  /// The same far ahead of what has come.
  @Test func aGapFarAheadCostsNothing() throws {
    let (_, subscriber) = try session(seed: 64_439, gap(position: 1 << 50, count: 1 << 50))
    #expect(subscriber.machine.bufferedBytes < 4_096)
  }

  /// A heartbeat that claims more than was published skipped data elsewhere (CycloneDDS #1854, Fast DDS #3931).
  @Test func aForgedHeartbeatSkipsNothing() throws {
    let (scenario, subscriber) = try session(seed: 3_931) { writer in
      _ = writer.frame(.heartbeat, Heartbeat(stream: 2, first: 1 << 40, end: 1 << 41))
    }
    #expect(scenario.losses.isEmpty)
    scenario.publish(5, from: scenario.simulation[0])
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: subscriber) == Array(0..<8))
  }

  /// Fragments that add up to more than was declared overflowed a buffer (CVE-2025-62799).
  @Test func fragmentsBeyondTheTotalAreRefused() throws {
    let (scenario, subscriber) = try session(seed: 62_799) { writer in
      let start = writer.beginFrame(.data)
      DataHeader(stream: 2, position: 3, lag: 0, ageMicroseconds: 0).write(to: &writer)
      Unit.writeHeader(
        to: &writer, flags: .first, length: 456, timeMicroseconds: 0, lifetimeMicroseconds: nil, totalBytes: 600)
      writer.zeros(456)
      Unit.writeHeader(
        to: &writer, flags: [], length: 456, timeMicroseconds: 0, lifetimeMicroseconds: nil, totalBytes: 0)
      writer.zeros(456)
      _ = writer.endFrame(start)
    }
    #expect(scenario.counter("frames_malformed", of: subscriber) == 1)
    #expect(subscriber.machine.bufferedBytes < 4_096)
    scenario.publish(5, from: scenario.simulation[0])
    scenario.run(.seconds(2))
    // The forged units took the places of two messages; the stream goes on behind them, and says so.
    #expect(scenario.numbers(at: subscriber) == [0, 1, 2, 5, 6, 7])
    #expect(scenario.losses.map(\.sequences) == [3..<5])
  }

  /// A declared length sized an allocation (rmw_fastrtps #828).
  @Test func aDeclaredTotalSizesNothing() throws {
    let (_, subscriber) = try session(seed: 828) { writer in
      let start = writer.beginFrame(.data)
      DataHeader(stream: 2, position: 3, lag: 0, ageMicroseconds: 0).write(to: &writer)
      Unit.writeHeader(
        to: &writer, flags: .first, length: 456, timeMicroseconds: 0, lifetimeMicroseconds: nil, totalBytes: 16 << 20)
      writer.zeros(456)
      _ = writer.endFrame(start)
    }
    #expect(subscriber.machine.bufferedBytes < 4_096)
  }
}
