import GlueAddress

/// What this endpoint tells about itself, and when; what it takes from what others tell.
extension Discovery {
  /// Whose IDs an announcement lists.
  enum ListedPeers {
    case nobody
    /// Those heard by multicast or broadcast: for announcements that go to a group.
    case heard
    /// All: for announcements by unicast, so that a rendezvous knows who needs no introduction any more.
    case all
  }

  mutating func beginStartupAnnouncements(at now: Timestamp) {
    startupIndex = 0
    startupAt = now
    announce(at: now)
  }

  /// Sends an announcement to all targets, and to the peers that they do not reach.
  mutating func announce(at now: Timestamp) {
    judgeHearing(at: now)
    announcedInterval = stretchedInterval
    for target in configuration.targets {
      let list: ListedPeers = target.ip.isGroup ? .heard : .all
      send(.announce(makeAnnouncement(listing: list, at: now)), to: target)
    }
    var direct: Announcement?
    for slot in table.indices where table.contains(slot) && needsCopy(slot, at: now) {
      let announcement = direct ?? makeAnnouncement(listing: .all, at: now)
      direct = announcement
      sendCopy(of: announcement, to: slot, at: now)
    }
    listCursor = nextListCursor
    lookForIntroductions(at: now)
    lookForWays(at: now)
    if startupIndex < configuration.startupAnnouncements.count {
      announceAt = startupAt + configuration.startupAnnouncements[startupIndex]
      startupIndex += 1
    } else {
      // Up to a tenth early: endpoints that were started together should not announce together for ever.
      let early = announcedInterval.count / 10
      announceAt = now + Nanoseconds(announcedInterval.count - (early > 0 ? generator.next() % early : 0))
    }
  }

  /// - Parameter hearsYou: Whether the only one that it is for is heard by multicast or broadcast.
  func makeAnnouncement(
    listing list: ListedPeers, isLeaving: Bool = false, hearsYou: Bool = false, at now: Timestamp
  ) -> Announcement {
    var announcement = Announcement(name: local.name)
    announcement.isLeaving = isLeaving
    announcement.hearsYou = hearsYou
    announcement.capabilities = local.capabilities
    // Who hears nothing by multicast knows from this whether there should be something to hear.
    if usesGroups { announcement.capabilities.insert(.announcesToGroup) }
    if configuration.relays { announcement.capabilities.insert(.relay) }
    announcement.intervalMilliseconds = max(1, announcedInterval.wholeMilliseconds)
    announcement.leaseTenths = UInt64(min(max(1, configuration.leaseMultiplier), 1_000) * 10)
    announcement.uptimeMilliseconds = uptime(at: now).wholeMilliseconds
    announcement.interestVersion = interestVersion
    announcement.locators = local.locators
    announcement.heard = listedPeers(list, at: now)
    announcement.attributes = local.attributes
    announcement.attributes.wallClock = wallOrigin?.microseconds(at: now)
    return announcement
  }

  /// The list in WELCOMEs to an address.
  func everyday(at address: SocketAddress) -> ListedPeers { usesGroups && !address.isRelayed ? .heard : .all }

  private var stretchedInterval: Nanoseconds {
    let unit = max(1, configuration.stretchPeers)
    // In hundredths, for the interval grows steadily and not in steps.
    let stretch = min(max(100, table.count * 100 / unit), max(1, configuration.maximumStretch) * 100)
    return Nanoseconds(configuration.interval.count / 100 * UInt64(stretch))
  }

  /// The peers to list now, from the cursor on. The cursor moves with the announcements to the targets only.
  private func listedPeers(_ list: ListedPeers, at now: Timestamp) -> [EndpointID] {
    var ids: [EndpointID] = []
    let places = table.indices.count
    for offset in 0..<places {
      let slot = (listCursor + offset) % places
      guard table.contains(slot) else { continue }
      switch list {
      case .nobody: return []
      case .heard: guard hears(slot, at: now) else { continue }
      case .all: break
      }
      ids.append(table[slot].info.id)
      if ids.count == configuration.heardEntries { break }
    }
    return ids
  }

  private var nextListCursor: Int {
    var left = configuration.heardEntries
    let places = table.indices.count
    for offset in 0..<places {
      let slot = (listCursor + offset) % places
      if table.contains(slot) { left -= 1 }
      if left == 0 { return (slot + 1) % places }
    }
    return listCursor
  }

  /// How many announcements list everybody.
  var listingTurns: Int { table.count / max(1, configuration.heardEntries) + 1 }

  // MARK: Announcements of others

  /// For so long hints that a peer leaves are ignored after one that was not true: in a flood of them, each probe would be one
  /// more chance that all of its answers are lost. If it does leave, its BYE says so, or its lease ends.
  private static let leavingHints = Nanoseconds.seconds(60)

  mutating func receive(
    _ announcement: Announcement, _ header: LongHeader, _ source: SocketAddress, _ arrival: Arrival,
    _ datagramBytes: Int, _ now: Timestamp
  ) {
    if let slot = table.slot(of: header.sender, header.incarnation) {
      receive(announcement, header, ofPeerIn: slot, source, arrival, datagramBytes, now)
      return
    }
    if let index = handshakeIndex(header) {
      guard !announcement.isLeaving else { return }
      // With two families the one by multicast may come from the other one's address.
      if arrival == .group { handshakes[index].isHeard = true }
      guard handshakes[index].address == source else { return }
      handshakes[index].note(announcement, at: now)
      proceed(index, at: now)
      return
    }
    guard !announcement.isLeaving, isCompatible(announcement, of: header.sender, now) else { return }
    guard datagramBytes >= WireLimits.announceDatagramBytes else {
      counters.undersized += 1
      return
    }
    switch arrival {
    case .group: challenge(header, at: source, origin: .group, jittered: true, now)
    case .unicast:
      challenge(header, at: source, origin: source.isRelayed ? .introduction : .unicast, jittered: false, now)
    }
  }

  private mutating func receive(
    _ announcement: Announcement, _ header: LongHeader, ofPeerIn slot: Int, _ source: SocketAddress, _ arrival: Arrival,
    _ datagramBytes: Int, _ now: Timestamp
  ) {
    guard table[slot].info.address == source else {
      // With two families the one by multicast may come from the other one's address.
      if arrival == .group { table[slot].groupHeardAt = now }
      // An endpoint with several addresses announces from each of them. Only when the one in use has fallen silent may
      // the session move, or it would go to and fro.
      guard datagramBytes >= WireLimits.announceDatagramBytes else {
        counters.undersized += 1
        return
      }
      guard !hasReplied(to: header, at: source) else { return }
      // Whom we hear we need nobody else to reach.
      if table[slot].info.address.isRelayed, !source.isRelayed {
        return beginMove(slot, to: source, paidBy: header, at: now)
      }
      guard now >= table[slot].addressHeardAt + silence(of: slot) else {
        table[slot].elsewhere = (source, header.packetNumber)
        wakeForLease(slot)
        return
      }
      beginMove(slot, to: source, paidBy: header, at: now)
      return
    }
    if announcement.isLeaving {
      // Anybody could have sent this. The peer's silence will confirm it, or its answer refute it; but not again at once.
      if let stayed = table[slot].stayedAt, now < stayed + Self.leavingHints { return }
      probe(slot, for: .leaving, at: now)
      return
    }
    let before = table[slot].info
    heard(slot, at: now)
    apply(announcement, to: slot, at: now)
    noteHearing(announcement, of: slot, arrival, at: now)
    for id in announcement.heard {
      if let other = table.slot(of: id) { table[slot].listing.add(other) }
    }
    table[slot].listing.announced(turns: listingTurns)
    tellIfChanged(slot, from: before)
  }

  /// Takes over what may change within a life. The name cannot.
  mutating func apply(_ announcement: Announcement, to slot: Int, at now: Timestamp) {
    let start = startEstimate(uptimeMilliseconds: announcement.uptimeMilliseconds, at: now)
    let (interval, lease) = terms(of: announcement)
    table[slot].lease = lease
    table[slot].info.interval = interval
    table[slot].info.startEstimate = min(table[slot].info.startEstimate, start)
    table[slot].info.capabilities = announcement.capabilities
    table[slot].info.interestVersion = max(table[slot].info.interestVersion, announcement.interestVersion)
    table[slot].info.locators = announcement.locators
    table[slot].info.attributes = takeWallClock(from: announcement.attributes, of: slot, at: now)
    table[slot].info.leaseDeadline = now + lease
    wakeForLease(slot)
  }

  /// The interval and the lease that an announcement grants, within bounds.
  func terms(of announcement: Announcement) -> (interval: Nanoseconds, lease: Nanoseconds) {
    let bounds = configuration.leaseBounds
    let interval = min(max(.milliseconds(announcement.intervalMilliseconds), .milliseconds(10)), bounds.upperBound)
    let tenths = min(max(announcement.leaseTenths, 10), 10_000)
    let lease = Nanoseconds((interval * tenths).count / 10)
    return (interval, min(max(lease, bounds.lowerBound), bounds.upperBound))
  }

  /// Something valid came from the address of a peer.
  mutating func heard(_ slot: Int, at now: Timestamp) {
    table[slot].info.leaseDeadline = now + table[slot].lease
    table[slot].addressHeardAt = now
  }

  mutating func tellIfChanged(_ slot: Int, from before: PeerInfo) {
    let now = table[slot].info
    if now.capabilities != before.capabilities || now.interestVersion != before.interestVersion
      || now.locators != before.locators || now.attributes != before.attributes || now.address != before.address
      || now.relay != before.relay || now.remoteSession != before.remoteSession
      || now.acceptsGroupTag != before.acceptsGroupTag
      || Self.isNews(now.hearing, after: before.hearing)
    {
      actions.append(.peerUpdated(now))
    }
  }

  func isCompatible(_ announcement: Announcement) -> Bool {
    announcement.minimumVersion <= Discovery.versions.upperBound
      && announcement.maximumVersion >= Discovery.versions.lowerBound
      && announcement.minimumVersion <= announcement.maximumVersion
  }

  /// The protocol versions that are spoken here.
  static var versions: ClosedRange<UInt8> { 1...1 }

  mutating func isCompatible(_ announcement: Announcement, of id: EndpointID, _ now: Timestamp) -> Bool {
    if isCompatible(announcement) { return true }
    counters.incompatible += 1
    // No state is kept for the unproven, so the rate is limited for all of them together.
    if let reported = incompatibleReportedAt, now < reported + .seconds(1) { return false }
    incompatibleReportedAt = now
    let lowest = min(announcement.minimumVersion, announcement.maximumVersion)
    let versions = lowest...max(announcement.minimumVersion, announcement.maximumVersion)
    actions.append(.incompatible(id, name: announcement.name, versions: versions))
    return false
  }
}

extension IPAddress {
  /// Whether datagrams to it reach many: multicast, or an IPv4 broadcast address. The netmask is not known here, but no
  /// usual one makes a host's address end in 255.
  var isGroup: Bool { isMulticast || family == .v4 && low & 0xFF == 0xFF }
}
