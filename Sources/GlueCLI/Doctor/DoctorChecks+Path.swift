extension DoctorChecks {
  /// Losses beyond it are worth a word, and those beyond the second make things slow.
  static let notableLoss = 0.15
  static let heavyLoss = 0.5
  /// How far wall clocks may be apart before the times in messages mislead, in seconds.
  static let clockTolerance = 1.0

  static func paths(_ facts: DoctorFacts) -> [Finding] {
    var findings: [Finding] = []
    for peer in facts.path.peers { findings += path(peer, facts) }
    findings += strangers(facts) + clocks(facts.path.peers)
    let measured = facts.path.peers.filter { !$0.echoes.isEmpty }
    let isBad = findings.contains { [.pathMTU, .lossLarge, .loss].contains($0.code) }
    if !measured.isEmpty, !isBad {
      let largest = measured.map(\.pathBytes).min() ?? 0
      findings.append(Finding(.ok, .loss, "Datagrams get there and back: small ones, and up to \(largest) bytes."))
    }
    return findings + limits(facts.path)
  }

  /// What was left out, as there was too much of it.
  private static func limits(_ path: DoctorFacts.Path) -> [Finding] {
    var findings: [Finding] = []
    if path.unmeasured > 0 {
      findings.append(
        Finding(
          .note, .notChecked,
          "The path was measured to \(path.peers.count - path.unmeasured) of \(path.peers.count) endpoints: the others left before, or came too late, or were too many to be measured without harm."
        ))
    }
    if path.isIncomplete {
      findings.append(
        Finding(
          .note, .notChecked, "More endpoints or topics were heard than are looked at; the findings leave some out."))
    }
    return findings
  }

  private static func path(_ peer: DoctorFacts.Peer, _ facts: DoctorFacts) -> [Finding] {
    guard let small = peer.echoes.first, small.sent > 0 else { return [] }
    let evidence = peer.echoes.map { "\($0.answered) of \($0.sent) datagrams of \($0.bytes) bytes came back" }
    let ping = { (bytes: Int) in SystemCommands.ping("\(peer.address)", bytes: bytes - 8) }
    if small.loss > notableLoss {
      return [
        Finding(
          small.loss >= heavyLoss ? .problem : .warning, .loss,
          "Datagrams of all sizes are lost on the way to \(peer.text) or back. What is reliable is repeated, and late.",
          evidence: evidence, commands: ["ping -i 0.01 -c 100 \(peer.address)"])
      ]
    }
    // Those that vanish altogether: too large for something on the way. The rest: lost, also where larger ones arrive.
    let passing = peer.echoes.filter { $0.answered > 0 }.map(\.bytes).max() ?? 0
    if let gone = peer.echoes.dropFirst().first(where: { $0.answered == 0 && $0.sent >= 5 && $0.bytes > passing }) {
      let isFatal = gone.bytes <= 1_200
      let mtu = facts.host.used.map(\.mtu).min() ?? 1_500
      // That is this host's own doing, and is said elsewhere.
      if isFatal, mtu < leastMTU { return [] }
      let text =
        isFatal
        ? "Datagrams of \(gone.bytes) bytes vanish on the way to \(peer.text), and small ones do not: something there passes less than Glue needs, and does not say so. Short messages arrive, longer ones do not."
        : "Datagrams of \(gone.bytes) bytes vanish on the way to \(peer.text), although this host's interface passes \(mtu): something on the way passes less, and does not say so. Glue sends smaller ones to it, which costs speed only."
      return [
        Finding(
          isFatal ? .problem : .warning, .pathMTU, text, evidence: evidence,
          commands: ping(gone.bytes)
            + SystemCommands.setMTU(of: "INTERFACE").map { "\($0)   # on the tunnel or switch in between" })
      ]
    }
    guard let lossy = peer.echoes.dropFirst().max(by: { $0.loss < $1.loss }), lossy.loss - small.loss > notableLoss
    else { return [] }
    return [
      Finding(
        lossy.loss >= heavyLoss ? .problem : .warning, .lossLarge,
        "Large datagrams are lost on the way to \(peer.text) or back, small ones are not: a full queue, a bad cable, or something that takes them apart. What is reliable is repeated, and late.",
        evidence: evidence, commands: ping(lossy.bytes) + SystemCommands.interfaceErrors)
    ]
  }

  private static func clocks(_ peers: [DoctorFacts.Peer]) -> [Finding] {
    let known = peers.compactMap { peer in peer.clockLeadSeconds.map { (peer: peer, lead: $0) } }
    let off = known.filter { abs($0.lead) > clockTolerance }
    guard let first = off.first else { return [] }
    func difference(_ lead: Double) -> String { "\(duration(abs(lead))) \(lead > 0 ? "ahead of" : "behind")" }
    // Where everybody else agrees it is this host.
    let isOwn = off.count > 1 && off.count == known.count && off.allSatisfy { ($0.lead > 0) == (first.lead > 0) }
    let whose =
      if isOwn {
        "This host's clock is \(difference(-first.lead)) those of all others."
      } else if off.count == 1 {
        "The clock of \(first.peer.text) is \(difference(first.lead)) this host's."
      } else {
        "The clocks of \(list(off.map(\.peer.name))) are off."
      }
    return [
      Finding(
        .warning, .clock, whose + " Delivery and expiry do not depend on that; the times that messages carry do.",
        evidence: off.count == 1 ? [] : off.map { "\($0.peer.text): \(difference($0.lead)) this host's" },
        commands: SystemCommands.clock)
    ]
  }

  private static func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<120: "\(Format.fixed(seconds, 1)) s"
    case ..<7_200: "\(Format.fixed(seconds / 60, 1)) minutes"
    case ..<172_800: "\(Format.fixed(seconds / 3_600, 1)) hours"
    default: "\(Format.fixed(seconds / 86_400, 0)) days"
    }
  }

  // MARK: Heard, but no peers

  private static func strangers(_ facts: DoctorFacts) -> [Finding] {
    let out = facts.path.strangers.filter(\.isHeardByUnicast)
    let into = facts.path.strangers.filter { !$0.isHeardByUnicast }
    var findings: [Finding] = []
    let look = SystemCommands.onBothHosts(SystemCommands.packetFilters)
    if !out.isEmpty {
      findings.append(
        Finding(
          .problem, .unicastOut,
          "Unicast does not get out: \(list(out.map(\.address))) can be heard and has written to this endpoint, but none of its answers arrives there.",
          evidence: out.map { "endpoint \($0.id) at \($0.address)" } + facts.path.sendErrors, commands: look))
    }
    if !into.isEmpty {
      findings.append(
        Finding(
          .problem, .unicastIn,
          "Unicast does not get in: \(list(into.map(\.address))) can be heard by multicast, but no answer from there arrives. Besides 27320 Glue needs the data port of each endpoint: that of GLUE_LISTEN_ADDRESS, or else any. The doctor has one of its own, so a filter that lets only a set port in shows here, too.",
          evidence: into.map { "endpoint \($0.id) at \($0.address)" } + facts.path.sendErrors
            + facts.host.firewall.rules.map(\.text),
          commands: facts.host.firewall.rules.map(\.command) + look))
    }
    return findings
  }
}
