import GlueAddress

extension DoctorChecks {
  // MARK: This host's own multicast

  static func multicast(_ facts: DoctorFacts) -> [Finding] {
    var findings = ownMulticast(facts)
    if isFirewallSuspected(facts) { return findings }
    // A rule without a symptom may be meant for something else.
    if !facts.host.firewall.rules.isEmpty {
      findings.append(
        Finding(
          .note, .firewall,
          "The packet filter of this host has rules that may concern Glue; nothing shows that they do.",
          evidence: facts.host.firewall.rules.map(\.text)))
    }
    return findings
  }

  /// Whether on an interface this host's multicast does not even come back to itself, though nothing else explains it.
  static func isFirewallSuspected(_ facts: DoctorFacts) -> Bool { !silentInterfaces(facts).isEmpty }

  /// The interfaces on which this host does not hear itself, though it should.
  private static func silentInterfaces(_ facts: DoctorFacts) -> [DoctorFacts.Interface] {
    guard usesMulticast(facts) else { return [] }
    return facts.host.used.filter { $0.supportsMulticast && facts.path.ownMulticast[$0.name, default: []].isEmpty }
  }

  private static func usesMulticast(_ facts: DoctorFacts) -> Bool {
    facts.settings.target == .group && facts.host.obstacle == nil && facts.host.startFailure == nil
      && facts.host.takenPort == nil
  }

  private static func ownMulticast(_ facts: DoctorFacts) -> [Finding] {
    guard usesMulticast(facts) else { return [] }
    return facts.host.used.filter { !$0.supportsMulticast }.map { missingFlag($0, facts) } + unheardByItself(facts)
      + heardInterfaces(facts)
  }

  private static func missingFlag(_ used: DoctorFacts.Interface, _ facts: DoctorFacts) -> Finding {
    Finding(
      // Some systems pass it on all the same.
      facts.path.heardOn.contains(used.name) ? .warning : .problem, .multicastFlag,
      "\(used.name) is set to carry no multicast, by which endpoints find each other.",
      commands: SystemCommands.carryMulticast(on: used.name) + [
        "export GLUE_DISCOVERY_TARGET_ADDRESS=ADDRESS:27320"
      ])
  }

  /// Why this host does not hear itself.
  private static func unheardByItself(_ facts: DoctorFacts) -> [Finding] {
    let silent = silentInterfaces(facts)
    guard !silent.isEmpty else { return [] }
    let host = facts.host
    let names = list(silent.map(\.name))
    let refused = facts.path.sendErrors.filter { $0.contains("(errno 1)") }
    let commands =
      host.firewall.rules.map(\.command)
      + (host.firewall.frontEnds.contains("ufw") ? ["ufw allow proto udp from NETWORK/24"] : [])
      + (host.firewall.frontEnds.contains("firewall-cmd")
        ? silent.map { "firewall-cmd --zone=trusted --change-interface=\($0.name)" } : [])
    let look = commands.isEmpty ? SystemCommands.packetFilters : []
    if !refused.isEmpty {
      return [
        Finding(
          .problem, .firewall, "The packet filter of this host refuses what Glue sends by \(names).",
          evidence: refused + host.firewall.rules.map(\.text), commands: commands + look)
      ]
    }
    if !facts.path.sendErrors.isEmpty {
      return [
        Finding(
          .problem, .sending, "The system does not send Glue's multicast by \(names).",
          evidence: facts.path.sendErrors, commands: SystemCommands.routes)
      ]
    }
    return [
      Finding(
        .problem, .firewall,
        "This host does not hear its own multicast on \(names), so it will hear nobody else's there: its packet filter drops what comes in for UDP port 27320."
          + (host.firewall.rules.isEmpty ? " Which rule does it could not be found out." : ""),
        evidence: host.firewall.rules.map(\.text), commands: commands + look)
    ]
  }

  /// Where this host hears itself, and where by one address family only.
  private static func heardInterfaces(_ facts: DoctorFacts) -> [Finding] {
    var sound: [String] = []
    var findings: [Finding] = []
    for used in facts.host.used {
      let heard = facts.path.ownMulticast[used.name, default: []]
      guard used.supportsMulticast, !heard.isEmpty else { continue }
      let families = Set(used.addresses.map(\.family)).intersection(facts.settings.groupFamilies)
      guard !used.isLoopback, let missing = families.subtracting(heard).first else {
        sound.append(used.name)
        continue
      }
      let (present, absent) = missing == .v4 ? ("IPv6", "IPv4") : ("IPv4", "IPv6")
      findings.append(
        Finding(
          .note, .multicast, "On \(used.name) this host hears its own multicast by \(present) but not by \(absent).",
          evidence: facts.host.firewall.rules.map(\.text)))
    }
    // Better news make this one superfluous.
    let isHeard = facts.path.peers.contains { $0.groupArrivals > 0 && !$0.isOnThisHost }
    if !sound.isEmpty, !isHeard {
      findings.append(Finding(.ok, .multicast, "This host hears its own multicast on \(list(sound))."))
    }
    return findings
  }

  // MARK: Multicast from and to others

  static func peers(_ facts: DoctorFacts) -> [Finding] {
    let peers = facts.path.peers
    guard !peers.isEmpty else { return [] }
    var findings = [
      Finding(
        .ok, .peers, peers.count == 1 ? "1 endpoint answers." : "\(peers.count) endpoints answer.",
        evidence: peers.prefix(maximumListed).map { peer in
          peer.text + (peer.roundTripMilliseconds.map { ", round trip \(Format.fixed($0, 2)) ms" } ?? "")
        } + (peers.count > maximumListed ? ["and \(peers.count - maximumListed) more"] : []))
    ]
    let unheard = isFirewallSuspected(facts) || facts.settings.target != .group ? [] : peers.filter(isUnheard)
    let deaf = facts.settings.target == .group ? peers.filter(isDeaf) : []
    let heard = peers.filter { $0.groupArrivals > 0 && !$0.isOnThisHost }
    let strict = facts.host.isReversePathStrict && facts.host.interfaces.filter(\.isCandidate).count > 1
    if !unheard.isEmpty {
      let whose = heard.isEmpty && unheard.count > 1 ? "every other endpoint" : list(unheard.map(\.name))
      findings.append(
        Finding(
          .problem, .multicastIn,
          "Multicast does not get in: \(whose) sends announcements that do not arrive here, though unicast from there does. A switch or access point in between drops them, or a packet filter. Endpoints that know each other go on; newcomers are found late or not at all.",
          evidence: unheard.map { "\($0.text): none in \(Format.fixed($0.age, 1)) s" }
            + facts.host.firewall.rules.map(\.text)
            + (strict
              ? [
                "net.ipv4.conf.*.rp_filter is 1: packets are dropped whose sender would be answered by another interface"
              ] : []),
          commands: facts.host.firewall.rules.map(\.command) + blockedMulticastCommands(unheard)))
    }
    if !deaf.isEmpty {
      findings.append(
        Finding(
          .problem, .multicastOut,
          "Multicast does not get out: \(list(deaf.map(\.name))) \(deaf.count == 1 ? "does" : "do") not hear this host's announcements, though multicast from there arrives here. A switch or access point in between drops them, or a packet filter there. Endpoints that know each other go on; newcomers are found late or not at all.",
          evidence: deaf.map { "\($0.text): \($0.tellingArrivals) announcements do not list this endpoint as heard" },
          commands: blockedMulticastCommands(deaf)))
    }
    if facts.settings.target == .group, unheard.isEmpty, deaf.isEmpty, !heard.isEmpty {
      findings.append(Finding(.ok, .multicast, "Multicast gets in and out."))
    }
    if facts.path.isMulticastAlsoWorking == false, !peers.allSatisfy(\.isOnThisHost) {
      findings.append(
        Finding(
          .note, .multicastBlocked,
          "Multicast does not pass between this host and those that answer, or they do not listen to it. With the target address that is set nothing depends on it.",
          evidence: peers.map(\.text)))
    }
    return findings
  }

  /// It announces itself by multicast, has had the time to, and nothing arrived.
  private static func isUnheard(_ peer: DoctorFacts.Peer) -> Bool {
    peer.announcesToGroup && peer.groupArrivals == 0 && peer.age >= 2.2 * peer.interval
  }

  /// It is heard, and would by now list this endpoint.
  private static func isDeaf(_ peer: DoctorFacts.Peer) -> Bool { !peer.hearsUs && peer.tellingArrivals >= 2 }

  private static func blockedMulticastCommands(_ peers: [DoctorFacts.Peer]) -> [String] {
    let address = peers.first.map { $0.address.family == .v6 ? "[\($0.address)]" : "\($0.address)" } ?? "ADDRESS"
    let bridge = ["ip link set dev BRIDGE type bridge mcast_snooping 0   # where the switch is a Linux bridge"]
    return bridge + ["export GLUE_DISCOVERY_TARGET_ADDRESS=\(address):27320   # there: GLUE_DISCOVERY_TARGET_ADDRESS=0"]
  }

  /// Of many peers the first ones show what they are.
  private static let maximumListed = 16

  static func list(_ names: [String]) -> String {
    let shown = names.prefix(3).joined(separator: ", ")
    return names.count > 3 ? "\(shown) and \(names.count - 3) more" : shown
  }
}
