/// The judgements: facts in, findings out. No clock, no network, no files.
enum DoctorChecks {
  /// Glue sends datagrams of up to 1,200 bytes before it has measured a path; IPv6 adds 48 bytes.
  static let leastMTU = 1_248
  /// The largest datagram is 65,507 bytes. A buffer that does not hold two of them loses data all the time.
  static let leastReceiveBuffer = 131_072

  /// Everything, the worst first; within a severity in the order of the checks.
  static func findings(_ facts: DoctorFacts) -> [Finding] {
    let all =
      interface(facts) + buffers(facts.host) + multicast(facts) + peers(facts) + paths(facts) + identities(facts)
      + networks(facts) + types(facts.path) + silence(facts)
    return Finding.Severity.allCases.reversed().flatMap { severity in all.filter { $0.severity == severity } }
  }

  // MARK: Interfaces

  static func interface(_ facts: DoctorFacts) -> [Finding] {
    let host = facts.host
    // Without an endpoint nothing was chosen.
    guard !host.choice.isEmpty else { return [] }
    return [usedInterface(facts)] + awaitedInterfaces(host) + virtualInterface(facts) + otherInterfaces(facts)
      + interfaceMTU(host)
  }

  private static func usedInterface(_ facts: DoctorFacts) -> Finding {
    let host = facts.host
    let name = host.chosen ?? "?"
    let known = host.interfaces.map(\.text)
    switch host.obstacle {
    case .missing?:
      let candidates = host.interfaces.filter(\.isCandidate).map { "export GLUE_LISTEN_INTERFACE=\($0.name)" }
      return Finding(
        .problem, .interface, "Glue waits for the interface \(name), and this host has none of that name.",
        evidence: ["There are: " + known.joined(separator: ", ")],
        commands: candidates + ["unset GLUE_LISTEN_INTERFACE"])
    case .down?:
      return Finding(
        .problem, .interface, "Glue waits for the interface \(name), which is switched off or has no link.",
        commands: SystemCommands.switchOn(name))
    case .noAddress?:
      return Finding(
        .problem, .interface, "Glue waits for the interface \(name), which has no IP address that the settings allow.",
        evidence: ["There are: " + known.joined(separator: ", ")],
        commands: SystemCommands.addAddress(to: name) + ["export GLUE_LISTEN_INTERFACE=ANOTHER"])
    case nil: break
    }
    if host.isOnlyLoopback {
      let candidates = host.interfaces.filter(\.isCandidate)
      return Finding(
        facts.settings.isAlone ? .note : .problem, .interface,
        "There is no default route, so Glue uses loopback and finds endpoints of this host only.",
        evidence: ["There are: " + known.joined(separator: ", ")],
        commands: candidates.isEmpty
          ? SystemCommands.addAddress(to: "INTERFACE")
          : candidates.map { "export GLUE_LISTEN_INTERFACE=\($0.name)" })
    }
    let used = host.used
    let sizes = used.map { used.count == 1 ? "MTU \($0.mtu)" : "MTU of \($0.name) \($0.mtu)" }
    return Finding(.ok, .interface, "Glue uses \(([host.choice] + sizes).joined(separator: "; ")).")
  }

  private static func awaitedInterfaces(_ host: DoctorFacts.Host) -> [Finding] {
    guard !host.awaited.isEmpty else { return [] }
    return [
      Finding(.warning, .interface, "Glue waits for more interfaces, and uses the others.", evidence: host.awaited)
    ]
  }

  private static func virtualInterface(_ facts: DoctorFacts) -> [Finding] {
    // Without a setting only one is used.
    guard let used = facts.host.used.first, let kind = used.kind, !facts.settings.choosesInterface else { return [] }
    let others = facts.host.interfaces.filter { $0.isCandidate && $0.kind == nil }
    guard !others.isEmpty else { return [] }
    return [
      Finding(
        .warning, .virtualInterface,
        "The default route goes by \(used.name), which seems to belong to \(kind.text); endpoints on the local network are not found there.",
        commands: others.map { "export GLUE_LISTEN_INTERFACE=\($0.name)" })
    ]
  }

  private static func otherInterfaces(_ facts: DoctorFacts) -> [Finding] {
    let others = facts.host.interfaces.filter { $0.isCandidate && !facts.host.uses($0.name) }
    // Where endpoints were heard it is said elsewhere.
    guard !others.isEmpty, facts.host.obstacle == nil, !facts.host.isOnlyLoopback else { return [] }
    let list = others.map { other in other.text + (other.kind.map { ", seems to belong to \($0.text)" } ?? "") }
    return [
      Finding(
        .note, .otherInterfaces, "Other interfaces are not used: \(list.joined(separator: "; ")).",
        commands: others.filter { $0.kind == nil }.map { "export GLUE_LISTEN_INTERFACE=\($0.name)" })
    ]
  }

  private static func interfaceMTU(_ host: DoctorFacts.Host) -> [Finding] {
    host.used.filter { $0.mtu > 0 && $0.mtu < leastMTU }.map { used in
      Finding(
        .problem, .interfaceMTU,
        "\(used.name) passes packets of at most \(used.mtu) bytes, and Glue needs \(leastMTU): larger datagrams are refused.",
        commands: SystemCommands.setMTU(of: used.name))
    }
  }

  // MARK: Buffers and ports

  static func buffers(_ host: DoctorFacts.Host) -> [Finding] {
    var findings: [Finding] = []
    if let taken = host.takenPort {
      let port = taken.split(separator: ":").last ?? "27320"
      findings.append(
        Finding(
          .problem, .portTaken,
          "Another program has UDP \(taken) for itself; endpoints of this host need it, and share it with each other.",
          commands: SystemCommands.whoListens(on: port)))
    } else if let failure = host.startFailure {
      findings.append(Finding(.problem, .sending, "An endpoint cannot start here: \(failure)"))
    }
    let asked = host.receiveBufferAsked
    let granted = host.receiveBufferGranted
    let remedy = SystemCommands.allowReceiveBuffer(of: asked)
    if granted < asked {
      findings.append(
        Finding(
          granted < leastReceiveBuffer ? .problem : .warning, .receiveBuffer,
          "The system lets only \(Format.bytes(granted)) of received datagrams wait for this program, and Glue asks for \(Format.bytes(asked)): bursts are lost and have to be repeated.",
          evidence: host.receiveBufferMaximum.map { ["net.core.rmem_max is \($0)"] } ?? [], commands: remedy))
    } else if let maximum = host.receiveBufferMaximum, maximum < asked {
      findings.append(
        Finding(
          .note, .receiveBuffer,
          "The receive buffer is \(Format.bytes(granted)), since this program is privileged; others get \(Format.bytes(maximum)).",
          evidence: ["net.core.rmem_max is \(maximum)"], commands: remedy))
    } else {
      findings.append(Finding(.ok, .receiveBuffer, "The receive buffer is \(Format.bytes(granted)), as asked for."))
    }
    if !host.firewall.unread.isEmpty {
      findings.append(
        Finding(
          .note, .notChecked,
          "The packet filter of this host could not be read: \(host.firewall.unread.joined(separator: "; ")). As root this is checked too."
        ))
    }
    return findings
  }
}
