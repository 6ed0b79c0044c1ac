import GlueAddress
import GlueCore

/// Makes one endpoint behave as a ``Mutant`` does. It sits between the machine and the simulation.
package struct MutantFilter {
  /// Which.
  package let mutant: Mutant
  private var turn = 0
  private var sentEnds: [StreamOnWire: UInt64] = [:]
  private var lastSession: (bytes: [UInt8], destination: SocketAddress)?
  private var heardAt: [SocketAddress: Timestamp] = [:]
  private var heldBack: [(bytes: [UInt8], destination: SocketAddress)] = []
  private var strangers: Set<UInt64> = []
  /// Bytes that it never freed.
  package private(set) var hoardedBytes = 0
  /// Endpoints that it took for peers.
  package var ghosts: Int { mutant == .believesAnybody ? strangers.count : 0 }

  private struct StreamOnWire: Hashable {
    var connection: UInt32
    var stream: UInt64
  }

  private static let group = SimulatedNetwork.group

  /// A filter for one endpoint.
  package init(_ mutant: Mutant) { self.mutant = mutant }

  // MARK: Datagrams

  /// What goes out in place of a datagram.
  package mutating func outgoing(
    _ bytes: [UInt8], to destination: SocketAddress, others: [SocketAddress], at now: Timestamp
  ) -> [(bytes: [UInt8], destination: SocketAddress)] {
    let original = (bytes: bytes, destination: destination)
    let wire = WireView(bytes)
    let isGroup = destination.ip.isMulticast
    switch mutant {
    case .neverRepeats: return repeatsData(wire) ? [] : [original]
    case .claimsEverything: return [(claimingEverything(bytes), destination)]
    case .sendsToEverybody:
      guard wire.data.contains(where: { $0.header.stream >= 2 }) else { return [original] }
      turn += 1
      return [original] + others.filter { $0 != destination }.map { (bytes, $0) }
    case .multicastsToOne:
      guard wire.isSession, !wire.isGroup, wire.data.contains(where: { $0.header.stream >= 2 }) else {
        return [original]
      }
      // As a datagram for a group: only its first byte tells.
      return [original, ([bytes[0] | 0x40] + bytes.dropFirst(), Self.group)]
    case .trustsMulticast: return repeatsGroupData(wire) ? [] : [original]
    case .multicastsTwice: return wire.isGroup ? [original, original] : [original]
    case .waitsForTheSlowest:
      guard wire.isSession else { return [original] }
      heldBack.append(original)
      guard !heardAt.values.contains(where: { now.since($0) > .milliseconds(1_500) }) else { return [] }
      defer { heldBack.removeAll() }
      return heldBack
    case .repeatsEverything: return wire.data.isEmpty ? [original] : [original, original]
    case .announcesTooOften: return isGroup && wire.types.contains(.announce) ? [original, original] : [original]
    case .chatters:
      if wire.isSession { lastSession = original }
      guard wire.types.contains(.announce), let lastSession else { return [original] }
      return [original, lastSession]
    case .answersTwice:
      return wire.types.contains(.challenge) || wire.types.contains(.answer) ? [original, original] : [original]
    case .countsNoHops:
      guard !wire.relays.isEmpty else { return [original] }
      var bytes = bytes
      bytes[WireLimits.shortHeaderBytes + WireLimits.frameHeaderBytes] = WireLimits.relayHops
      return [(bytes, destination)]
    case .corruptsPayloads, .deliversTwice, .swapsDeliveries, .hidesLosses, .keepsPastExpiry, .hoards, .ignoresWelcomes,
      .ignoresClashes, .yieldsToAnyClaim, .ignoresSome, .relaysNeedlessly, .believesAnybody, .hidesDeadMulticast,
      .ignoresMulticast, .forgetsThePast, .confirmsBeforeTheSync, .forgetsPosition, .hidesClears,
      .takesNoAnswers, .altersEntries, .losesEntries, .splitsTransactions, .bringsBack, .trustsTheDisk,
      .swallowsChanges,
      .neverRests, .countsRefusals, .countsOwnTime, .skipsEntries, .forgetsToSync, .keepsIdentity, .retryAppliedTwice,
      .readsAtOnce, .keepsLocks, .waitsForever, .asksForNoVotes, .fetchesNothing:
      return [original]
    }
  }

  private mutating func repeatsData(_ wire: WireView) -> Bool {
    var repeats = false
    for frame in wire.data {
      let stream = StreamOnWire(connection: wire.connection, stream: frame.header.stream)
      if frame.header.position < sentEnds[stream, default: 0] { repeats = true }
      sentEnds[stream] = max(sentEnds[stream, default: 0], frame.header.position + frame.units)
    }
    return repeats
  }

  /// Whether a datagram to one peer has what was sent to a group. What goes to the group is noted.
  private mutating func repeatsGroupData(_ wire: WireView) -> Bool {
    var repeats = false
    for frame in wire.data where frame.header.stream >= 2 {
      let stream = StreamOnWire(connection: 0, stream: frame.header.stream)
      if wire.isGroup {
        sentEnds[stream] = max(sentEnds[stream, default: 0], frame.header.position + frame.units)
      } else if frame.header.position < sentEnds[stream, default: 0] {
        repeats = true
      }
    }
    return repeats
  }

  private func claimingEverything(_ bytes: [UInt8]) -> [UInt8] {
    guard let first = bytes.first, first >= 0x80, bytes.count > WireLimits.shortHeaderBytes else { return bytes }
    return bytes.withUnsafeBytes { buffer in
      var written = [UInt8](buffer.prefix(WireLimits.shortHeaderBytes))
      var frames = FrameReader(UnsafeRawBufferPointer(rebasing: buffer[WireLimits.shortHeaderBytes...]))
      while let frame = try? frames.next() {
        var body = [UInt8](frame.body)
        if frame.known == .status, var status = try? frame.decode(Status.self),
          let end = status.missing.last?.upperBound
        {
          status.next = end
          status.missing = []
          var storage = [UInt8](repeating: 0, count: 64)
          body = storage.withUnsafeMutableBytes { storage in
            var writer = WireWriter(storage)
            status.write(to: &writer)
            return [UInt8](writer.written)
          }
        }
        written += [frame.type, UInt8(body.count & 0xFF), UInt8(body.count >> 8)] + body
      }
      return written
    }
  }

  /// Whether a datagram reaches the machine, and whether the endpoint gives up because of it.
  package mutating func incoming(
    _ bytes: [UInt8], from source: SocketAddress, own: (id: EndpointID, incarnation: Incarnation), host: Int,
    fromHost: Int?, isGroup: Bool, isKnownLife: (Incarnation) -> Bool, uptime: Nanoseconds, at now: Timestamp
  ) -> (passes: Bool, yieldsTo: Incarnation?) {
    let wire = WireView(bytes)
    switch mutant {
    case .waitsForTheSlowest:
      if wire.isSession { heardAt[source] = now }
      if wire.types.contains(.announce), heardAt[source] != nil { heardAt[source] = now }
    case .ignoresWelcomes:
      if wire.types.contains(.welcome), uptime > .seconds(8) { return (false, nil) }
    case .ignoresClashes:
      if wire.types.contains(.clash) { return (false, nil) }
    case .yieldsToAnyClaim:
      if let sender = wire.sender, sender.id == own.id, sender.incarnation != own.incarnation {
        return (true, sender.incarnation)
      }
    case .ignoresSome, .relaysNeedlessly:
      if let fromHost, host % 3 == 1, fromHost % 3 == 0, !wire.isSession { return (false, nil) }
      if mutant == .ignoresSome, host % 3 == 1, wire.relays.contains(where: { Self.isIgnored($0.header.origin) }) {
        return (false, nil)
      }
    case .ignoresMulticast:
      if isGroup, uptime > .seconds(4) { return (false, nil) }
    case .believesAnybody:
      if wire.types.contains(.announce), let sender = wire.sender, !isKnownLife(sender.incarnation) {
        strangers.insert(sender.incarnation.rawValue)
      }
    case .corruptsPayloads, .deliversTwice, .swapsDeliveries, .hidesLosses, .neverRepeats, .claimsEverything,
      .keepsPastExpiry, .sendsToEverybody, .multicastsToOne, .trustsMulticast, .multicastsTwice, .hoards,
      .repeatsEverything, .announcesTooOften, .chatters, .answersTwice,
      .hidesDeadMulticast, .forgetsThePast, .confirmsBeforeTheSync, .forgetsPosition, .countsNoHops, .hidesClears,
      .takesNoAnswers, .altersEntries, .losesEntries, .splitsTransactions, .bringsBack, .trustsTheDisk,
      .swallowsChanges,
      .neverRests, .countsRefusals, .countsOwnTime, .skipsEntries, .forgetsToSync, .keepsIdentity, .retryAppliedTwice,
      .readsAtOnce, .keepsLocks, .waitsForever, .asksForNoVotes, .fetchesNothing:
      break
    }
    return (true, nil)
  }

  /// Whether an endpoint runs on one of the hosts that ``Mutant/ignoresSome`` ignores; a plan's IDs are in thousands.
  private static func isIgnored(_ endpoint: RelayedEndpoint) -> Bool {
    endpoint.id.rawValue >= 1_000 && (endpoint.id.rawValue / 1_000 - 1) % 3 == 0
  }

  // MARK: Deliveries and events

  /// What is delivered in place of a turn's deliveries.
  package mutating func deliveries(_ deliveries: [ReceivedMessage], at now: Timestamp) -> [ReceivedMessage] {
    guard !deliveries.isEmpty else { return deliveries }
    turn += 1
    var result = deliveries
    switch mutant {
    case .corruptsPayloads: if turn % 50 == 0 { result[0].digest ^= 1 }
    case .deliversTwice: if turn % 50 == 0 { result.insert(result[0], at: 1) }
    case .swapsDeliveries: if result.count > 1 { result.swapAt(0, result.count - 1) }
    case .forgetsThePast: result.removeAll { now.since($0.publishedAt) > .seconds(2) }
    case .hidesClears: result.removeAll { $0.mark?.isCleared ?? false }
    case .hoards: hoardedBytes += deliveries.reduce(0) { $0 + $1.bytes * 64 }
    case .hidesLosses, .neverRepeats, .claimsEverything, .keepsPastExpiry, .sendsToEverybody, .multicastsToOne,
      .trustsMulticast,
      .multicastsTwice, .waitsForTheSlowest,
      .repeatsEverything, .announcesTooOften, .chatters, .ignoresWelcomes, .ignoresClashes, .yieldsToAnyClaim,
      .answersTwice, .ignoresSome, .relaysNeedlessly, .countsNoHops, .believesAnybody, .hidesDeadMulticast,
      .ignoresMulticast, .confirmsBeforeTheSync, .forgetsPosition,
      .takesNoAnswers, .altersEntries, .losesEntries, .splitsTransactions, .bringsBack, .trustsTheDisk,
      .swallowsChanges,
      .neverRests, .countsRefusals, .countsOwnTime, .skipsEntries, .forgetsToSync, .keepsIdentity, .retryAppliedTwice,
      .readsAtOnce, .keepsLocks, .waitsForever, .asksForNoVotes, .fetchesNothing:
      break
    }
    return result
  }

  /// Whether an event is told.
  package func passes(_ event: EndpointEvent) -> Bool {
    if mutant == .hidesLosses, case .loss = event { return false }
    if mutant == .hidesDeadMulticast, case .multicast = event { return false }
    return true
  }

  /// Whether a message is handed over long after its lifetime.
  package var keepsPastExpiry: Bool { mutant == .keepsPastExpiry }
}
