import Glue

extension DoctorChecks {
  // MARK: Who is who

  static func identities(_ facts: DoctorFacts) -> [Finding] {
    var findings: [Finding] = []
    if let id = facts.settings.endpointID, let holder = facts.path.peers.first(where: { $0.id == id }) {
      findings.append(
        held(
          .idClash, by: holder, "The endpoint ID \(id) that GLUE_ENDPOINT_ID sets", "export GLUE_ENDPOINT_ID=ANOTHER"))
    }
    if let name = facts.settings.endpointName, let holder = facts.path.peers.first(where: { $0.name == name }) {
      findings.append(
        held(
          .nameClash, by: holder, "The endpoint name \"\(name)\" that GLUE_ENDPOINT_NAME sets",
          "export GLUE_ENDPOINT_NAME=ANOTHER"))
    }
    if !facts.path.idClashes.isEmpty {
      findings.append(
        Finding(
          .problem, .idClash, "Two other endpoints claim one endpoint ID; the one that is younger is refused.",
          evidence: facts.path.idClashes, commands: ["export GLUE_ENDPOINT_ID=ANOTHER   # for one of them"]))
    }
    if !facts.path.nameClashes.isEmpty {
      findings.append(
        Finding(
          .problem, .nameClash, "Two other endpoints claim one endpoint name; the one that is younger is refused.",
          evidence: facts.path.nameClashes, commands: ["export GLUE_ENDPOINT_NAME=ANOTHER   # for one of them"]))
    }
    return findings
  }

  /// On this host it is most likely the program for which the setting was made.
  private static func held(
    _ code: Finding.Code, by holder: DoctorFacts.Peer, _ what: String, _ command: String
  ) -> Finding {
    holder.isOnThisHost
      ? Finding(
        .note, code, "\(what) is in use by \(holder.text), on this host. A second program with it would be refused.")
      : Finding(
        .problem, code, "\(what) is in use by \(holder.text), on another host. A program here with it is refused.",
        commands: [command])
  }

  // MARK: Which network

  static func networks(_ facts: DoctorFacts) -> [Finding] {
    ownKeys(facts.settings) + mismatchedKeys(facts) + otherNetworks(facts)
      + facts.path.incompatible.map { text in
        Finding(.problem, .version, "An endpoint speaks another version of the protocol: \(text).")
      }
  }

  private static func ownKeys(_ settings: DoctorFacts.Settings) -> [Finding] {
    guard let first = settings.keyFingerprints.first else { return [] }
    let others = settings.keyFingerprints.dropFirst().map { "also accepted: \($0)" }
    var findings = [
      Finding(
        .ok, .networkKey,
        "The network key has the fingerprint \(first); `glue key --fingerprint` shows it on other hosts.",
        evidence: others)
    ]
    if let file = settings.keyFile, let readers = settings.keyFileReaders {
      findings.append(
        Finding(
          .warning, .keyFile,
          "The key file \(file) can be read by \(readers). Whoever reads it can read and publish everything in this network.",
          commands: ["chmod go= \(file)"]))
    }
    return findings
  }

  private static func mismatchedKeys(_ facts: DoctorFacts) -> [Finding] {
    func addresses(_ kind: DoctorFacts.KeyMismatch.Kind) -> [String] {
      facts.path.keyMismatches.filter { $0.kind == kind }.map(\.address)
    }
    var findings: [Finding] = []
    let compare = ["glue key --fingerprint   # on both hosts: equal for equal keys"]
    let other = addresses(.otherKey)
    if !other.isEmpty {
      findings.append(
        Finding(
          .problem, .networkKey,
          "\(list(other)) \(other.count == 1 ? "has" : "have") another network key for this network. Endpoints with different keys do not hear each other.",
          commands: ["unset GLUE_NETWORK_KEY; export GLUE_NETWORK_KEY_FILE=THE_FILE_USED_THERE"] + compare))
    }
    let sealed = addresses(.sealed)
    if !sealed.isEmpty {
      findings.append(
        Finding(
          .problem, .networkKey,
          "\(list(sealed)) \(sealed.count == 1 ? "has" : "have") a network key, and the settings here have none. Endpoints with and without a key do not hear each other.",
          commands: ["export GLUE_NETWORK_KEY_FILE=THE_FILE_USED_THERE"]))
    }
    let open = addresses(.open)
    if !open.isEmpty {
      findings.append(
        Finding(
          .problem, .networkKey,
          "\(list(open)) \(open.count == 1 ? "has" : "have") no network key, and the settings here have one. Endpoints with and without a key do not hear each other.",
          commands: ["export GLUE_NETWORK_KEY_FILE=THE_FILE_USED_HERE   # there"]))
    }
    return findings
  }

  private static func otherNetworks(_ facts: DoctorFacts) -> [Finding] {
    let networks = facts.path.otherNetworks.sorted { $0.key < $1.key }
    guard !networks.isEmpty || facts.path.otherSealedNetworks > 0 else { return [] }
    func endpoints(_ count: Int) -> String { "\(count) endpoint\(count == 1 ? "" : "s")" }
    var seen = networks.map { "network \($0.key): \(endpoints($0.value))" }
    if facts.path.otherSealedNetworks > 0 {
      seen.append("networks with a key, whichever they are: \(endpoints(facts.path.otherSealedNetworks))")
    }
    guard isNobodyHere(facts), !facts.settings.isAlone else {
      return [Finding(.note, .networkID, "Endpoints of other networks are here too.", evidence: seen)]
    }
    return [
      Finding(
        .problem, .networkID,
        "Nobody of network \(facts.settings.networkID) is heard, but endpoints of other networks are. Only endpoints with the same network ID hear each other.",
        evidence: seen, commands: networks.map { "export GLUE_NETWORK_ID=\($0.key)" })
    ]
  }

  private static func isNobodyHere(_ facts: DoctorFacts) -> Bool {
    facts.path.peers.isEmpty && facts.path.strangers.isEmpty
  }

  // MARK: Types

  static func types(_ path: DoctorFacts.Path) -> [Finding] {
    let names = Dictionary(path.peers.map { ($0.id, $0.text) }, uniquingKeysWith: { first, _ in first })
    var findings: [Finding] = []
    // Only who names a type can name the wrong one.
    let peers = path.peers.filter { $0.subscriptions.contains { $0.type != nil } }
    for topic in path.topics {
      for peer in peers {
        let matching = peer.subscriptions.filter { Endpoint.matches(filter: $0.filter, topic: topic.name) }
        // Whoever takes this type too gets it.
        guard matching.allSatisfy({ $0.type != nil && $0.type != topic.type }) else { continue }
        for subscription in matching {
          guard let wanted = subscription.type else { continue }
          let publisher = names[topic.publisher] ?? "endpoint \(topic.publisher)"
          findings.append(
            Finding(
              .problem, .typeMismatch,
              "Nothing of the topic \(topic.name) gets to \(peer.text): it wants the type \(wanted), and \(publisher) publishes \(topic.type.map { "the type \($0)" } ?? "it without a type").",
              evidence: ["\(peer.name) subscribes to \(subscription.filter)"]))
        }
      }
    }
    guard findings.count > maximumTypeFindings else { return findings }
    let more = findings.count - maximumTypeFindings
    return findings.prefix(maximumTypeFindings) + [
      Finding(.problem, .typeMismatch, "There are \(more) more such mismatches of types, not shown here.")
    ]
  }

  /// More of one kind tell nothing new.
  private static let maximumTypeFindings = 20

  // MARK: Silence

  /// Nobody answers, or somebody is elsewhere.
  static func silence(_ facts: DoctorFacts) -> [Finding] {
    let findings = elsewhere(facts) + target(facts)
    guard facts.path.peers.isEmpty, facts.host.startFailure == nil, facts.host.takenPort == nil else {
      return findings + onlyThisHost(facts)
    }
    if facts.settings.isAlone {
      return findings + [Finding(.ok, .nobody, "Nobody answered, and nobody was expected.")]
    }
    let explains: Set<Finding.Code> = [
      .interface, .wrongInterface, .multicastFlag, .firewall, .sending, .unicastIn, .unicastOut, .networkID,
      .networkKey, .version, .targetRefused, .targetUnreachable, .targetSilent,
    ]
    let others = interface(facts) + multicast(facts) + paths(facts) + networks(facts) + findings
    if others.contains(where: { $0.severity == .problem && explains.contains($0.code) }) { return findings }
    let text =
      facts.settings.target == .nobody
      ? "Nobody answered within \(Format.fixed(facts.path.seconds, 1)) s. With GLUE_DISCOVERY_TARGET_ADDRESS=0 an endpoint waits for others that have its address as their target."
      : "Nobody answered within \(Format.fixed(facts.path.seconds, 1)) s. This host sends and hears its own multicast, so either no other endpoint of network \(facts.settings.networkID) runs, or something between the hosts blocks multicast in both directions (a switch with IGMP snooping and no querier, a Wi-Fi access point that isolates its clients, two subnets)."
    return findings + [
      Finding(
        .problem, .nobody, text,
        commands: [
          "glue doctor --duration 30s   # on two hosts at the same time: they find each other",
          "GLUE_DISCOVERY_TARGET_ADDRESS=0 glue doctor --duration 60s   # on the other host, and meanwhile here:",
          "GLUE_DISCOVERY_TARGET_ADDRESS=ADDRESS:27320 glue doctor   # answers: only multicast is blocked",
          "glue doctor --alone   # if nobody else is to be there",
        ])
    ]
  }

  /// What works on one host shows nothing of the way to another.
  private static func onlyThisHost(_ facts: DoctorFacts) -> [Finding] {
    guard !facts.path.peers.isEmpty, facts.path.peers.allSatisfy(\.isOnThisHost), !facts.settings.isAlone,
      facts.host.used.isEmpty || facts.host.used.contains(where: { !$0.isLoopback }), facts.path.strangers.isEmpty
    else { return [] }
    return [
      Finding(
        .warning, .nobody, "Only endpoints of this host answer; nothing shows that others can be reached.",
        commands: [
          "glue doctor --duration 30s   # on two hosts at the same time: they find each other",
          "glue doctor --alone   # if nobody else is to be there",
        ])
    ]
  }

  private static func elsewhere(_ facts: DoctorFacts) -> [Finding] {
    let places = facts.path.elsewhere.sorted { $0.key < $1.key }
    guard !places.isEmpty else { return [] }
    let isOnlyThere = facts.path.peers.isEmpty && facts.path.strangers.isEmpty
    let names = list(places.map(\.key))
    let used = facts.host.chosen.map { list([$0] + facts.host.alsoUsed) } ?? "another interface"
    return [
      Finding(
        isOnlyThere ? .problem : .note, .wrongInterface,
        isOnlyThere
          ? "Endpoints of this network are on \(names), and Glue uses \(used), where nobody is."
          : "More endpoints of this network are on \(names); Glue uses \(used).",
        evidence: places.map { "\($0.key): heard \(list($0.value))" },
        commands: places.map { "export GLUE_LISTEN_INTERFACE=\($0.key)" })
    ]
  }

  private static func target(_ facts: DoctorFacts) -> [Finding] {
    guard case .endpoint(let address) = facts.settings.target, facts.path.peers.isEmpty else { return [] }
    let instead =
      facts.path.isMulticastAlsoWorking == true
      ? ["unset GLUE_DISCOVERY_TARGET_ADDRESS   # by multicast others are found"] : []
    switch facts.path.target {
    case .refused?:
      return [
        Finding(
          .problem, .targetRefused,
          "The host of \(address) is there, but no endpoint listens on that port. The endpoint that is the meeting point has to run there with GLUE_DISCOVERY_TARGET_ADDRESS=0.",
          evidence: ["its answer: port unreachable"],
          commands: ["GLUE_DISCOVERY_TARGET_ADDRESS=0 PROGRAM   # there", "ss -lun   # there: what listens"] + instead)
      ]
    case .unreachable(let reason)?:
      let host = address.split(separator: ":").dropLast().joined(separator: ":")
      return [
        Finding(
          .problem, .targetUnreachable,
          "There is no way from here to \(address), which the settings name as the meeting point.",
          evidence: ["the system: \(reason)"], commands: SystemCommands.route(to: host.unbracketed) + instead)
      ]
    case .silent?:
      return [
        Finding(
          .problem, .targetSilent,
          "\(address), which the settings name as the meeting point, does not answer: its host is down, a packet filter on the way drops UDP, or whoever listens there is no endpoint of this network.",
          commands: [
            "ping \(address.split(separator: ":").dropLast().joined(separator: ":").unbracketed)",
            "glue doctor   # there, with the settings used there",
          ] + SystemCommands.onBothHosts(SystemCommands.packetFilters) + instead)
      ]
    case nil: return []
    }
  }
}

extension String {
  /// An address without the brackets that it has beside a port.
  fileprivate var unbracketed: String { hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self }
}
