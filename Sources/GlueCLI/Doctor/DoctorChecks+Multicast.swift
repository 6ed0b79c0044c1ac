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

  /// Whether this host's multicast does not even come back to itself, though nothing else explains it.
  static func isFirewallSuspected(_ facts: DoctorFacts) -> Bool {
    usesMulticast(facts) && facts.path.ownMulticast.isEmpty && facts.host.used?.supportsMulticast != false
  }

  private static func usesMulticast(_ facts: DoctorFacts) -> Bool {
    facts.settings.target == .group && facts.host.obstacle == nil && facts.host.startFailure == nil
      && facts.host.takenPort == nil
  }

  private static func ownMulticast(_ facts: DoctorFacts) -> [Finding] {
    let host = facts.host
    guard usesMulticast(facts), let used = host.used else { return [] }
    if !used.supportsMulticast {
      // Some systems pass it on all the same.
      let works = facts.path.peers.contains { $0.groupArrivals > 0 }
      return [
        Finding(
          works ? .warning : .problem, .multicastFlag,
          "\(used.name) is set to carry no multicast, by which endpoints find each other.",
          commands: [
            "ip link set dev \(used.name) multicast on", "export GLUE_DISCOVERY_TARGET_ADDRESS=ADDRESS:27320",
          ])
      ]
    }
    guard facts.path.ownMulticast.isEmpty else { return missingFamily(facts, used) }
    let refused = facts.path.sendErrors.filter { $0.contains("(errno 1)") }
    let commands =
      host.firewall.rules.map(\.command)
      + (host.firewall.frontEnds.contains("ufw") ? ["ufw allow proto udp from NETWORK/24"] : [])
      + (host.firewall.frontEnds.contains("firewall-cmd")
        ? ["firewall-cmd --zone=trusted --change-interface=\(used.name)"] : [])
    let look = commands.isEmpty ? ["nft list ruleset", "iptables-save"] : []
    if !refused.isEmpty {
      return [
        Finding(
          .problem, .firewall, "The packet filter of this host refuses what Glue sends.",
          evidence: refused + host.firewall.rules.map(\.text), commands: commands + look)
      ]
    }
    if !facts.path.sendErrors.isEmpty {
      return [
        Finding(
          .problem, .sending, "The system does not send Glue's multicast by \(used.name).",
          evidence: facts.path.sendErrors, commands: ["ip route show table all", "ip -6 route show table all"])
      ]
    }
    return [
      Finding(
        .problem, .firewall,
        "This host does not hear its own multicast, so it will hear nobody else's: its packet filter drops what comes in for UDP port 27320."
          + (host.firewall.rules.isEmpty ? " Which rule does it could not be found out." : ""),
        evidence: host.firewall.rules.map(\.text), commands: commands + look)
    ]
  }

  private static func missingFamily(_ facts: DoctorFacts, _ used: DoctorFacts.Interface) -> [Finding] {
    let families = Set(used.addresses.map(\.family))
    let missing = used.isLoopback ? [] : families.subtracting(facts.path.ownMulticast)
    guard let family = missing.first else {
      // Better news make this one superfluous.
      let isHeard = facts.path.peers.contains { $0.groupArrivals > 0 && !$0.isOnThisHost }
      return isHeard ? [] : [Finding(.ok, .multicast, "This host hears its own multicast on \(used.name).")]
    }
    return [
      Finding(
        .note, .multicast,
        "This host hears its own multicast by IP\(family == .v4 ? "v6" : "v4") but not by IP\(family == .v4 ? "v4" : "v6").",
        evidence: facts.host.firewall.rules.map(\.text))
    ]
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
