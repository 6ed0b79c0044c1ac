import GlueAddress

/// Who hears whom by multicast or broadcast (docs/protocol.md §4): measured by what arrives and by what peers say, worked
/// around by unicast, and told.
///
/// Whether it hears a peer an endpoint sees for itself. Whether the peer hears it, the peer says: by listing it in what goes to
/// the group, and by a flag in what goes by unicast. So who does not hear a peer tells it by unicast, and then gets its
/// announcements by unicast, until it says that it hears it again.
///
/// Doubts come soon and cost a few datagrams. Verdicts, which users are told, take longer, so that loss does not look like
/// a wall: see ``DiscoveryConfiguration/silentIntervals`` and ``DiscoveryConfiguration/verdictIntervals``.
extension Discovery {
  /// Whether this endpoint announces itself to a group.
  var usesGroups: Bool { configuration.targets.contains { $0.ip.isGroup } }

  /// Whether a peer was heard by multicast or broadcast lately.
  func hears(_ slot: Int, at now: Timestamp) -> Bool {
    guard let heard = table[slot].groupHeardAt else { return false }
    return now < heard + silence(of: slot, intervals: configuration.silentIntervals)
  }

  /// Whether a peer has said that it hears this endpoint, and nothing else since.
  func isHeard(by peer: EndpointID) -> Bool {
    table.slot(of: peer).map { table[$0].heardUsAt != nil && table[$0].deafSince == nil } ?? false
  }

  private func silence(of slot: Int, intervals: Int) -> Nanoseconds {
    table[slot].info.interval * UInt64(clamping: intervals)
  }

  // MARK: Copies by unicast

  /// Whether a peer gets the announcement at hand by unicast, too.
  func needsCopy(_ slot: Int, at now: Timestamp) -> Bool {
    if configuration.targets.contains(table[slot].info.address) { return false }
    if table[slot].info.address.isRelayed { return true }
    // It says that it does not hear us; or we announce to nobody, or to a rendezvous.
    if table[slot].deafSince != nil || !usesGroups { return true }
    let hasUnicast = table[slot].unicastHeardAt.map { now < $0 + silence(of: slot, intervals: 2) } ?? false
    // Sending copies to us, it has to be told that we hear it again, so that it stops; else that we do not, so that it begins.
    return hears(slot, at: now)
      ? hasUnicast && table[slot].retractions > 0 : !hasUnicast && isSilent(slot, at: now)
  }

  /// Sends a peer an announcement that says whether the peer is heard.
  mutating func sendCopy(of announcement: Announcement, to slot: Int, at now: Timestamp) {
    var copy = announcement
    copy.hearsYou = hears(slot, at: now)
    // One may be lost. Were there no end, two that were deaf to each other would go on thanking each other.
    table[slot].retractions = copy.hearsYou ? max(0, table[slot].retractions - 1) : configuration.silentIntervals
    send(.announce(copy), to: table[slot].info.address)
  }

  /// Whether a peer should have been heard by now. It may have found us, and has announced nothing since.
  private func isSilent(_ slot: Int, at now: Timestamp) -> Bool {
    now >= listenedSince(slot) + silence(of: slot, intervals: configuration.silentIntervals)
  }

  /// Since when a peer's announcements could have come and did not.
  private func listenedSince(_ slot: Int) -> Timestamp {
    max(table[slot].groupHeardAt ?? table[slot].info.since, listeningSince)
  }

  // MARK: What peers say

  /// Takes from a peer's announcement who hears whom.
  mutating func noteHearing(_ announcement: Announcement, of slot: Int, _ arrival: Arrival, at now: Timestamp) {
    let hearsUs: Bool
    switch arrival {
    case .group:
      table[slot].groupHeardAt = now
      hearsUs = announcement.heard.contains(local.id)
    case .unicast:
      table[slot].unicastHeardAt = now
      hearsUs = announcement.hearsYou
    }
    if hearsUs {
      noteHeard(by: slot, at: now)
    } else if arrival == .unicast, table[slot].deafSince == nil {
      table[slot].deafSince = now
      // Our next announcement may come too late for its lease.
      let address = table[slot].info.address
      if usesGroups, !configuration.targets.contains(address), mayReply(to: address, at: now) {
        sendCopy(of: makeAnnouncement(listing: .all, at: now), to: slot, at: now)
      }
    }
    table[slot].info.hearing = hearing(of: slot, isSure: false, at: now)
  }

  /// A peer says that it hears us.
  mutating func noteHeard(by slot: Int, at now: Timestamp) {
    table[slot].heardUsAt = now
    table[slot].deafSince = nil
    table[slot].info.hearing = hearing(of: slot, isSure: false, at: now)
  }

  // MARK: Verdicts

  /// Looks at all peers, and tells what has changed for sure. Goes with the announcements.
  mutating func judgeHearing(at now: Timestamp) {
    // Whoever stood still has heard nobody, which is nobody's fault. Short delays do not matter, and a busy host has many.
    let longest = announcedInterval * UInt64(clamping: configuration.silentIntervals)
    if let due = announceAt, now >= due + longest { listeningSince = now }
    var report = MulticastReport()
    var evidence = Evidence()
    for slot in table.indices where table.contains(slot) {
      let before = table[slot].info.hearing
      let hearing = hearing(of: slot, isSure: false, at: now)
      report.count(hearing)
      if hearing != before {
        table[slot].info.hearing = hearing
        if Self.isNews(hearing, after: before) { actions.append(.peerUpdated(table[slot].info)) }
      }
      // Peers that do not use multicast say nothing about it, nor do those that nothing gets to directly.
      guard !table[slot].info.address.isRelayed else { continue }
      guard table[slot].groupHeardAt != nil || table[slot].heardUsAt != nil else { continue }
      evidence.add(
        peerHearsUs: hearsUs(slot, isSure: true, at: now), weHearPeer: hearsPeer(slot, isSure: true, at: now))
    }
    let state = usesGroups ? evidence.state(after: multicast.state) : .unknown
    // What is broken in another way than before is seen twice: where multicast comes back, one direction shows it first.
    report.state = state == .works || state == multicastDoubt ? state : multicast.state
    multicastDoubt = state
    let before = multicast.state
    multicast = report
    guard report.state != before, report.isBroken || isMulticastBroken else { return }
    isMulticastBroken = report.isBroken
    actions.append(.multicast(report))
  }

  /// Whether users care: not that a newcomer is heard as it should be.
  static func isNews(_ hearing: Hearing?, after before: Hearing?) -> Bool {
    hearing != before && hearing != nil && (before != nil || hearing == .onlyThem || hearing == .onlyUs)
  }

  private func hearing(of slot: Int, isSure: Bool, at now: Timestamp) -> Hearing? {
    if table[slot].info.address.isRelayed { return .unicast }
    guard let peerHearsUs = hearsUs(slot, isSure: isSure, at: now),
      let weHearPeer = hearsPeer(slot, isSure: isSure, at: now)
    else { return nil }
    return Hearing(peerHearsUs: peerHearsUs, weHearPeer: weHearPeer)
  }

  /// Whether a peer is heard; nil if that is not known. Of one that was never heard a shorter silence is believed, unless it
  /// has to be sure; then, in return, doubt is enough to know nothing.
  private func hearsPeer(_ slot: Int, isSure: Bool, at now: Timestamp) -> Bool? {
    let isOld = table[slot].groupHeardAt != nil
    let isBelieved = isSure || isOld
    let intervals = isBelieved ? configuration.verdictIntervals : configuration.silentIntervals
    // Only a peer that is alive can be silent: what counts is the time to its last sign of life.
    if table[slot].addressHeardAt >= listenedSince(slot) + silence(of: slot, intervals: intervals) { return false }
    return isOld && !(isSure && isSilent(slot, at: now)) ? true : nil
  }

  /// Whether a peer hears this endpoint; nil if that is not known yet.
  private func hearsUs(_ slot: Int, isSure: Bool, at now: Timestamp) -> Bool? {
    if let deafSince = table[slot].deafSince {
      let isOld = table[slot].heardUsAt != nil
      // It says so after a silence of its own.
      let rest = silence(of: slot, intervals: configuration.verdictIntervals - configuration.silentIntervals)
      let isBelieved = table[slot].addressHeardAt >= max(deafSince, listeningSince) + rest
      if isBelieved || !isSure && !isOld { return false }
      return isSure ? nil : true
    }
    if table[slot].heardUsAt != nil { return true }
    let patience = silence(of: slot, intervals: configuration.verdictIntervals)
    // In a large group its turn to be listed comes late; a peer that does not hear us would have said so.
    return table[slot].addressHeardAt >= max(table[slot].info.since, listeningSince) + patience ? true : nil
  }

  /// What peers that use multicast show together.
  private struct Evidence {
    var hearUs = 0
    var doNotHearUs = 0
    var heard = 0
    var unheard = 0
    var undecided = false

    mutating func add(peerHearsUs: Bool?, weHearPeer: Bool?) {
      switch peerHearsUs {
      case true?: hearUs += 1
      case false?: doNotHearUs += 1
      case nil: undecided = true
      }
      switch weHearPeer {
      case true?: heard += 1
      case false?: unheard += 1
      case nil: undecided = true
      }
    }

    /// One peer suffices to show that it works; that it does not, all have to show. Where nothing is shown nothing changes.
    func state(after before: MulticastReport.State) -> MulticastReport.State {
      if hearUs > 0, heard > 0 { return .works }
      if undecided { return before }
      switch (hearUs > 0 || doNotHearUs == 0, heard > 0 || unheard == 0) {
      case (true, true): return before
      case (false, true): return .unheard
      case (true, false): return .deaf
      case (false, false): return .dead
      }
    }
  }
}
