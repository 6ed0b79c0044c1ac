import GlueAddress
import GlueCore

/// What is judged of every datagram that is sent.
extension Simulation {
  /// Judges a datagram that is sent. Gives who sent first what is passed on in it, and when.
  func watch(
    _ bytes: UnsafeRawBufferPointer, from endpoint: SimulatedEndpoint, to destination: SocketAddress
  ) -> (host: Int, sentAt: Timestamp)? {
    let wire = endpoint.machine.withoutSeal(bytes).map { WireView($0) } ?? WireView(bytes)
    let life = endpoint.life
    recorder.report.datagrams += 1
    let to = destination.ip.isMulticast ? -2 : network.host(at: destination) ?? -1
    recorder.trace.note(.sent, life, to, bytes.count, wire.types.first.map { Int($0.rawValue) } ?? -1, at: now)
    for type in wire.types { recorder.report.frames[type.index] += 1 }
    if wire.isReset { recorder.report.resets += 1 }
    if isQuiet {
      for type in wire.types { recorder.judge(.quietNetwork, recorder.quietNetwork.sent(type, by: life), at: now) }
      if wire.isReset { recorder.judge(.quietNetwork, recorder.quietNetwork.sent(nil, by: life), at: now) }
    }
    let isTarget = endpoint.machine.configuration.discovery.targets.contains(destination)
    if isTarget, wire.types.contains(.announce) {
      let record = recorder.lives[life]
      let verdict = recorder.announcementRate.announced(
        life, uptime: now.since(record.startedAt), interval: record.interval)
      recorder.judge(.announcementRate, verdict, at: now)
    }
    guard !destination.ip.isMulticast else {
      watchGroup(wire, from: endpoint)
      return nil
    }
    guard let host = network.host(at: destination) else {
      guard !isTarget, isForeign(destination) else { return nil }
      let verdict = recorder.amplification.sent(life, to: destination, bytes: bytes.count)
      recorder.judge(.amplification, verdict, at: now)
      return nil
    }
    for frame in wire.data {
      recorder.repetition.sent(
        by: life, connection: wire.connection, stream: frame.header.stream, position: frame.header.position,
        units: frame.units, bytes: frame.bytes)
      guard frame.header.stream >= 2,
        let topic = endpoint.publications.first(where: { $0.id.rawValue == frame.header.stream })?.topic
      else { continue }
      let verdict = recorder.interestOnly.sent(topic: topic, by: life, to: host, isSettled: isSettled)
      recorder.judge(.interestOnly, verdict, at: now)
    }
    guard let relay = wire.relays.first else { return nil }
    return watch(relay.header, digest: relay.digest, from: endpoint)
  }

  /// Judges data that is sent to a group: once, and only if several want it.
  private func watchGroup(_ wire: WireView, from endpoint: SimulatedEndpoint) {
    if !wire.data.isEmpty { recorder.report.groupDatagrams += 1 }
    for frame in wire.data {
      let repetition = recorder.repetition.sentToGroup(
        by: endpoint.life, stream: frame.header.stream, position: frame.header.position, units: frame.units)
      recorder.judge(.boundedRepetition, repetition, at: now)
      guard let topic = endpoint.publications.first(where: { $0.id.rawValue == frame.header.stream })?.topic else {
        continue
      }
      let verdict = recorder.interestOnly.sentToGroup(topic: topic, by: endpoint.life, isSettled: isSettled)
      recorder.judge(.interestOnly, verdict, at: now)
    }
  }

  /// Judges a datagram that is sent by way of others, or passed on.
  private func watch(
    _ header: RelayHeader, digest: UInt64, from endpoint: SimulatedEndpoint
  ) -> (host: Int, sentAt: Timestamp)? {
    let key = Relaying.Key(header, digest: digest)
    let life = endpoint.life
    let verdict: String?
    if recorder.life(named: header.origin) == life {
      let isNeedless =
        recorder.life(named: header.destination).map {
          recorder.lives[$0].endedAt == nil && isSound(between: life, and: $0)
        } ?? false
      verdict = recorder.relaying.sent(
        key, hopsLeft: header.hopsLeft, by: life, host: endpoint.host, isNeedless: isNeedless, at: now)
    } else {
      verdict = recorder.relaying.passedOn(key, hopsLeft: header.hopsLeft, by: life)
    }
    recorder.judge(.relaying, verdict, at: now)
    // What lay with others on the way is told, by clocks that drift.
    let held = Nanoseconds.microseconds(UInt64(header.heldMicroseconds) / 50 * 49)
    return recorder.relaying.original(of: key).map { ($0.host, $0.sentAt + held) }
  }

  /// Whether no host was ever at the address.
  private func isForeign(_ address: SocketAddress) -> Bool { address.ip.low >> 16 != 0xC0A8 }
}
