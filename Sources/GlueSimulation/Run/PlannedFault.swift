import GlueCore

/// A fault that will happen: what, when, to whom.
package struct PlannedFault: Sendable {
  /// What.
  package var fault: Fault
  /// From when.
  package var begins: Timestamp
  /// Until when, for those that last.
  package var ends: Timestamp
  /// The hosts concerned. For faults of links: those between these and the others, or among these.
  package var hosts: [Int]
  /// How bad, in a million, microseconds, bytes or whatever fits.
  package var strength: Int

  /// Faults that concern links and hosts for a while, and end.
  private static let passing: [Fault] = [
    .loss, .burstLoss, .duplication, .reordering, .delay, .clogging, .corruption, .truncation, .partition,
    .oneWayPartition,
    .partialPartition, .chainedPartition, .multicastDead, .unicastDead, .smallMTU, .narrowUplink, .receiveOverflow,
    .slowSubscriber, .hostileBytes, .mutatedCopies, .replays, .forgedSources,
  ]
  /// Faults that happen at once.
  private static let sudden: [Fault] = [.addressChange, .crash, .reboot, .leave, .pause, .clonedID, .clonedName]

  /// The faults of a run: at least five.
  static func schedule(
    participants count: Int, isRendezvous: Bool, healsAt: Timestamp, mode: SimulationMode, lease: Nanoseconds,
    seed: UInt64
  ) -> [PlannedFault] {
    var dice = Dice(seed: seed, concern: .faults)
    var faults: [PlannedFault] = []
    let begin: UInt64 = 3_000_000_000
    var clones = 0
    for _ in 0..<dice.int(5...11) {
      let fault = dice.chance(percent: 65) ? dice.pick(passing) : dice.pick(sudden)
      let at = begin + dice.below(healsAt.nanoseconds - begin - 2_000_000_000)
      // The rendezvous has to stay where it is: the others know no other place.
      let first = isRendezvous && sudden.contains(fault) ? 1 : 0
      let spread = fault == .partialPartition || fault == .unicastDead ? 2 : dice.int(1...max(1, count / 2))
      let hosts = dice.distinct(spread, below: count - first).map { $0 + first }
      if fault == .clonedID || fault == .clonedName {
        guard clones < 2 else { continue }
        clones += 1
      }
      let longest = min(fault == .pause ? 60_000_000_000 : 12_000_000_000, healsAt.nanoseconds - at)
      let span = min(longest, 300_000_000 + dice.below(longest))
      faults.append(
        PlannedFault(
          fault: fault, begins: Timestamp(nanoseconds: at), ends: Timestamp(nanoseconds: at + span), hosts: hosts,
          strength: strength(of: fault, &dice)))
    }
    if mode == .damage {
      faults.append(
        PlannedFault(
          fault: .corruption, begins: Timestamp(nanoseconds: begin), ends: healsAt, hosts: Array(0..<count),
          strength: 100_000))
    }
    // Two clones at most were taken, so a few more may be needed.
    while faults.count < 5 {
      let at = begin + dice.below(healsAt.nanoseconds - begin - 5_000_000_000)
      faults.append(
        PlannedFault(
          fault: .loss, begins: Timestamp(nanoseconds: at), ends: Timestamp(nanoseconds: at + 4_000_000_000),
          hosts: Array(0..<count), strength: 200_000))
    }
    return faults.sorted { $0.begins == $1.begins ? $0.ends < $1.ends : $0.begins < $1.begins }
  }

  private static func strength(of fault: Fault, _ dice: inout Dice) -> Int {
    switch fault {
    case .loss: dice.int(10_000...300_000)
    case .burstLoss: dice.int(5_000...50_000)
    case .duplication, .reordering: dice.int(10_000...300_000)
    case .corruption, .truncation: dice.int(10_000...150_000)
    case .delay: dice.int(1_000...150_000)
    case .smallMTU: dice.pick([1_200, 1_280, 1_392])
    case .narrowUplink: dice.int(60_000...1_000_000)
    case .receiveOverflow: dice.int(4_000...20_000)
    case .hostileBytes, .mutatedCopies, .replays, .forgedSources: dice.int(5...60)
    case .reboot, .leave: dice.int(10...6_000)
    case .clogging, .partition, .oneWayPartition, .partialPartition, .chainedPartition, .multicastDead, .unicastDead,
      .addressChange, .crash, .pause, .clonedID, .clonedName, .slowSubscriber, .clockDrift, .wrongWallClock:
      dice.int(0...1_000)
    }
  }

  // MARK: What it does to links and hosts

  /// Worsens a link while the fault lasts.
  func apply(to link: inout LinkConditions, from: Int, to: Int, hostCount: Int) {
    let touches = hosts.contains(from) || hosts.contains(to)
    switch fault {
    case .loss: if touches { link.lossPerMillion = max(link.lossPerMillion, strength) }
    case .burstLoss:
      if touches { link.bursts = BurstLoss(beginPerMillion: strength, endPerMillion: 200_000, lossPerMillion: 900_000) }
    case .duplication: if touches { link.duplicationPerMillion = strength }
    case .reordering: if touches { link.reorderingPerMillion = strength }
    case .delay:
      if touches {
        link.delay = .microseconds(UInt64(strength))
        link.jitter = .microseconds(UInt64(strength / 3))
      }
    case .clogging: if touches { link.clogsUntil = max(link.clogsUntil ?? ends, ends) }
    case .corruption: if touches { link.corruptionPerMillion = strength }
    case .truncation: if touches { link.truncationPerMillion = strength }
    case .partition: if hosts.contains(from) != hosts.contains(to) { link.block() }
    case .oneWayPartition:
      if strength % 2 == 0 ? from == hosts[0] : to == hosts[0] { link.block() }
    case .partialPartition: if hosts.count == 2, hosts.contains(from), hosts.contains(to) { link.block() }
    case .chainedPartition: if abs(from - to) > 1 { link.block() }
    case .multicastDead: if touches { link.isGroupBlocked = true }
    case .unicastDead: if hosts.count == 2, hosts.contains(from), hosts.contains(to) { link.isUnicastBlocked = true }
    case .smallMTU: if touches { link.maximumBytes = strength }
    case .narrowUplink, .receiveOverflow, .addressChange, .crash, .reboot, .leave, .pause, .clonedID, .clonedName,
      .slowSubscriber, .clockDrift, .wrongWallClock, .hostileBytes, .mutatedCopies, .replays, .forgedSources:
      break
    }
  }

  /// Worsens a host while the fault lasts.
  func apply(to host: inout HostConditions, number: Int) {
    guard hosts.contains(number) else { return }
    switch fault {
    case .narrowUplink: host.bandwidth = UInt64(strength)
    case .receiveOverflow: host.receiveBufferBytes = strength
    case .smallMTU: if strength == 1_280 { host.interfaceBytes = strength }
    case .loss, .burstLoss, .duplication, .reordering, .delay, .clogging, .corruption, .truncation, .partition,
      .oneWayPartition, .partialPartition, .chainedPartition, .multicastDead, .unicastDead, .addressChange, .crash,
      .reboot,
      .leave, .pause, .clonedID, .clonedName, .slowSubscriber, .clockDrift, .wrongWallClock, .hostileBytes,
      .mutatedCopies, .replays, .forgedSources:
      break
    }
  }

  /// Whether it changes links or hosts.
  var isOfNetwork: Bool {
    switch fault {
    case .loss, .burstLoss, .duplication, .reordering, .delay, .clogging, .corruption, .truncation, .partition,
      .oneWayPartition, .partialPartition, .chainedPartition, .multicastDead, .unicastDead, .smallMTU, .narrowUplink,
      .receiveOverflow:
      true
    case .addressChange, .crash, .reboot, .leave, .pause, .clonedID, .clonedName, .slowSubscriber, .clockDrift,
      .wrongWallClock, .hostileBytes, .mutatedCopies, .replays, .forgedSources:
      false
    }
  }
}

extension LinkConditions {
  fileprivate mutating func block() {
    isUnicastBlocked = true
    isGroupBlocked = true
  }
}
