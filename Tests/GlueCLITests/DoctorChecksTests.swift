import GlueAddress
import Testing

@testable import GlueCLI

/// Facts in, findings out: each judgement of `glue doctor` without a network.
@Suite struct DoctorChecksTests {
  @Test func healthy() {
    let facts = DoctorFacts.healthy
    let findings = DoctorChecks.findings(facts)
    #expect(findings.allSatisfy { $0.severity == .ok }, "\(findings)")
    #expect(Set(findings.map(\.code)) == [.interface, .receiveBuffer, .peers, .multicast, .loss])
    #expect(DoctorReport.isWell(findings) && DoctorReport.lines(findings).last == "All is well.")
  }

  // MARK: The host

  @Test func interfaces() {
    expect([.interface: .problem]) { facts in
      facts.host.obstacle = .missing
      facts.silence()
    }
    expect([.interface: .problem]) { facts in
      facts.host.obstacle = .down
      facts.silence()
    }
    expect([.interface: .problem]) { facts in
      facts.host.obstacle = .noAddress
      facts.silence()
    }
    expect([.interface: .problem]) { facts in
      facts.host.isOnlyLoopback = true
      facts.use("lo")
    }
    // Who wants nobody else needs no network.
    expect([.interface: .note]) { facts in
      facts.settings.isAlone = true
      facts.host.isOnlyLoopback = true
      facts.use("lo")
    }
    expect([.otherInterfaces: .note]) { facts in
      facts.host.interfaces.append(.init(name: "eth1", addresses: [IPAddress(v4: 0x0A01_0001)]))
    }
    expect([.otherInterfaces: .note, .virtualInterface: .warning]) { facts in
      facts.host.interfaces.append(.init(name: "wg0", addresses: [IPAddress(v4: 0x0A01_0001)]))
      facts.use("wg0")
    }
    // Whoever says so means it.
    expect([.otherInterfaces: .note]) { facts in
      facts.host.interfaces.append(.init(name: "wg0", addresses: [IPAddress(v4: 0x0A01_0001)]))
      facts.use("wg0")
      facts.settings.choosesInterface = true
    }
    expect([.interfaceMTU: .problem]) { facts in
      facts.host.interfaces[1].mtu = 1_000
      for size in 1...2 { facts.path.peers[0].echoes[size].answered = 0 }
    }
  }

  @Test func eachUsedInterfaceIsLookedAt() {
    expect([:]) { $0.useSecondInterface() }
    let flawed = DoctorChecks.findings(
      .healthy { facts in
        facts.useSecondInterface()
        facts.host.interfaces[2].mtu = 1_000
        facts.host.interfaces[2].supportsMulticast = false
        facts.path.ownMulticast["eth1"] = nil
        facts.path.heardOn = ["eth0"]
      })
    #expect(flawed.count { $0.severity == .problem } == 2)
    #expect(flawed.contains { $0.code == .interfaceMTU && $0.text.hasPrefix("eth1 passes") })
    #expect(flawed.contains { $0.code == .multicastFlag && $0.text.hasPrefix("eth1 is set") })
    let silent = DoctorChecks.findings(
      .healthy { facts in
        facts.useSecondInterface()
        facts.path.ownMulticast["eth1"] = nil
      }
    ).filter { $0.severity == .problem }
    #expect(silent.map(\.code) == [.firewall] && silent[0].text.contains("own multicast on eth1,"))
    let halfSilent = DoctorChecks.findings(
      .healthy { facts in
        facts.useSecondInterface()
        facts.host.interfaces[2].addresses.append(IPAddress(v6High: 1, low: 2))
      }
    ).filter { $0.severity == .note }
    #expect(halfSilent.map(\.code) == [.multicast] && halfSilent[0].text.hasPrefix("On eth1 "))
  }

  @Test func aGroupOfOneFamilyIsMissedInThatFamilyOnly() {
    expect([:]) { facts in
      facts.settings.groupFamilies = [.v4]
      facts.host.interfaces[1].addresses.append(IPAddress(v6High: 1, low: 2))
    }
  }

  @Test func receiveBuffer() {
    expect([.receiveBuffer: .warning]) { facts in
      facts.host.receiveBufferGranted = 212_992
      facts.host.receiveBufferMaximum = 212_992
    }
    expect([.receiveBuffer: .problem]) { facts in facts.host.receiveBufferGranted = 65_536 }
    expect([.receiveBuffer: .note]) { facts in facts.host.receiveBufferMaximum = 212_992 }
    let finding = DoctorChecks.findings(.healthy { $0.host.receiveBufferGranted = 65_536 })[0]
    #if os(Linux)
      #expect(finding.commands[0] == "sysctl -w net.core.rmem_max=4194304")
    #else
      #expect(finding.commands[0].hasPrefix("sysctl -w kern.ipc.maxsockbuf="))
    #endif
  }

  @Test func portsAndStarts() {
    expect([.portTaken: .problem]) { facts in
      facts.host.takenPort = "239.192.137.1:27320"
      facts.host.choice = ""
      facts.silence()
    }
    expect([.sending: .problem]) { facts in
      facts.host.startFailure = "no sockets"
      facts.silence()
    }
    expect([.notChecked: .note]) { facts in facts.host.firewall.unread = ["nft refuses to show it"] }
  }

  @Test func firewalls() {
    let rule = DoctorFacts.Firewall.Rule(text: "nft: drop", command: "nft insert")
    // A rule that shows no effect is none of our business.
    expect([.firewall: .note]) { facts in facts.host.firewall.rules = [rule] }
    // One that explains what is seen is the cause, and not the multicast that does not get in.
    expect([.firewall: .problem]) { facts in
      facts.host.firewall.rules = [rule]
      facts.path.ownMulticast = [:]
      facts.path.peers[0].groupArrivals = 0
      facts.path.peers[0].tellingArrivals = 0
    }
    expect([.firewall: .problem]) { facts in
      facts.path.ownMulticast = [:]
      facts.silence()
    }
    expect([.firewall: .problem]) { facts in
      facts.path.ownMulticast = [:]
      facts.path.sendErrors = ["cannot send: Operation not permitted (errno 1)"]
      facts.silence()
    }
    expect([.sending: .problem]) { facts in
      facts.path.ownMulticast = [:]
      facts.path.sendErrors = ["cannot send: Network is unreachable (errno 101)"]
      facts.silence()
    }
    expect([.multicast: .note]) { facts in facts.host.interfaces[1].addresses.append(IPAddress(v6High: 1, low: 2)) }
  }

  @Test func multicastFlag() {
    expect([.multicastFlag: .problem]) { facts in
      facts.host.interfaces[1].supportsMulticast = false
      facts.path.ownMulticast = [:]
      facts.path.heardOn = []
      facts.silence()
    }
    expect([.multicastFlag: .warning]) { facts in facts.host.interfaces[1].supportsMulticast = false }
  }

  // MARK: The path

  @Test func multicastInAndOut() {
    expect([.multicastIn: .problem]) { facts in
      facts.path.peers[0].groupArrivals = 0
      facts.path.peers[0].tellingArrivals = 0
      facts.path.peers[0].hearsUs = false
    }
    // There was no time for an announcement; nor does a meeting point send any.
    expect([:]) { facts in
      facts.path.peers[0].groupArrivals = 0
      facts.path.peers[0].tellingArrivals = 0
      facts.path.peers[0].interval = 4
    }
    expect([:]) { facts in
      facts.path.peers[0].groupArrivals = 0
      facts.path.peers[0].tellingArrivals = 0
      facts.path.peers[0].announcesToGroup = false
      facts.path.peers[0].hearsUs = false
    }
    expect([.multicastOut: .problem]) { facts in facts.path.peers[0].hearsUs = false }
    // One announcement may have been sent before ours arrived.
    expect([:]) { facts in
      facts.path.peers[0].hearsUs = false
      facts.path.peers[0].tellingArrivals = 1
    }
    // Who has a unicast target listens to no group.
    expect([:]) { facts in
      facts.settings.target = .endpoint("10.0.0.1:27320")
      facts.path.peers[0].groupArrivals = 0
      facts.path.peers[0].hearsUs = false
    }
    expect([.multicastBlocked: .note]) { facts in
      facts.settings.target = .endpoint("10.0.0.1:27320")
      facts.path.peers[0].groupArrivals = 0
      facts.path.isMulticastAlsoWorking = false
    }
  }

  @Test func unicastOneWay() {
    for (isHeard, code) in [(true, Finding.Code.unicastOut), (false, .unicastIn)] {
      expect([code: .problem]) { facts in
        facts.silence()
        facts.path.strangers = [.init(id: 3, address: "10.0.0.3", isHeardByUnicast: isHeard)]
      }
    }
  }

  @Test func sizesAndLosses() {
    expect([.pathMTU: .problem]) { facts in facts.echo(20, 0, 0) }
    expect([.pathMTU: .warning]) { facts in facts.echo(20, 20, 0) }
    // What is larger passes: chance, and no limit of a size.
    expect([.lossLarge: .problem]) { facts in facts.echo(20, 0, 9) }
    expect([.lossLarge: .problem]) { facts in facts.echo(20, 18, 9) }
    expect([.lossLarge: .warning]) { facts in facts.echo(20, 15, 15) }
    expect([.loss: .warning]) { facts in facts.echo(15, 15, 14) }
    expect([.loss: .problem]) { facts in facts.echo(5, 5, 0) }
    // What may be chance is not worth a word.
    expect([:]) { facts in facts.echo(19, 18, 17) }
  }

  @Test func clocks() {
    expect([:]) { facts in facts.path.peers[0].clockLeadSeconds = 0.9 }
    expect([.clock: .warning]) { facts in facts.path.peers[0].clockLeadSeconds = -3_600 }
    let finding = DoctorChecks.findings(.healthy { $0.path.peers[0].clockLeadSeconds = -3_600 })[0]
    #expect(finding.text.contains("two (2 at 10.0.0.2:5000) is 60.0 minutes behind"))
    // Where all others agree it is this host.
    let own = DoctorChecks.findings(
      .healthy {
        $0.path.peers[0].clockLeadSeconds = 90
        $0.path.peers.append($0.path.peers[0])
      })[0]
    #expect(own.text.hasPrefix("This host's clock is 90.0 s behind"))
  }

  // MARK: Who, and in which network

  @Test func clashes() {
    expect([.idClash: .problem]) { facts in facts.settings.endpointID = 2 }
    // Most likely it is the program whose settings these are.
    expect([.idClash: .note, .nobody: .warning]) { facts in
      facts.settings.endpointID = 2
      facts.path.peers[0].isOnThisHost = true
    }
    expect([.nameClash: .problem]) { facts in facts.settings.endpointName = "two" }
    expect([:]) { facts in
      facts.settings.endpointID = 3
      facts.settings.endpointName = "three"
    }
    expect([.idClash: .problem, .nameClash: .problem]) { facts in
      facts.path.idClashes = ["a and b"]
      facts.path.nameClashes = ["a and b"]
    }
  }

  @Test func networksAndKeys() {
    expect([.networkID: .problem]) { facts in
      facts.silence()
      facts.path.otherNetworks = [7: 1]
    }
    expect([.networkID: .note]) { facts in facts.path.otherNetworks = [7: 1] }
    expect([.networkID: .problem]) { facts in
      facts.silence()
      facts.path.otherSealedNetworks = 2
    }
    for kind in [DoctorFacts.KeyMismatch.Kind.otherKey, .sealed, .open] {
      expect([.networkKey: .problem]) { facts in
        facts.silence()
        facts.path.keyMismatches = [.init(kind: kind, address: "10.0.0.3")]
      }
    }
    expect([.version: .problem]) { facts in facts.path.incompatible = ["three speaks versions 2 to 3"] }
  }

  @Test func ownKey() {
    let findings = DoctorChecks.findings(.healthy { $0.settings.keyFingerprints = ["3f0c-91ab-77e2-05d4"] })
    #expect(findings.allSatisfy { $0.severity == .ok })
    #expect(findings.contains { $0.code == .networkKey && $0.text.contains("3f0c-91ab-77e2-05d4") })
    expect([.keyFile: .warning]) { facts in
      facts.settings.keyFingerprints = ["3f0c-91ab-77e2-05d4"]
      facts.settings.keyFile = "/etc/glue/network.key"
      facts.settings.keyFileReaders = "its group"
    }
  }

  @Test func types() {
    let reading = DoctorFacts.Topic(name: "home/kitchen", type: "Celsius", publisher: 9)
    expect([.typeMismatch: .problem]) { facts in
      facts.path.topics = [reading]
      facts.path.peers[0].subscriptions = [.init(filter: "home/+", type: "Fahrenheit")]
    }
    // The right type, any type, or another topic.
    for subscription in [
      DoctorFacts.Subscription(filter: "home/+", type: "Celsius"), .init(filter: "#", type: nil),
      .init(filter: "away", type: "Fahrenheit"),
    ] {
      expect([:]) { facts in
        facts.path.topics = [reading]
        facts.path.peers[0].subscriptions = [subscription]
      }
    }
    // Whoever takes both gets it.
    expect([:]) { facts in
      facts.path.topics = [reading]
      facts.path.peers[0].subscriptions = [
        .init(filter: "home/+", type: "Fahrenheit"), .init(filter: "#", type: nil),
      ]
    }
  }

  @Test func whatIsLeftOutIsSaid() {
    expect([.notChecked: .note]) { $0.path.unmeasured = 3 }
    expect([.notChecked: .note]) { $0.path.isIncomplete = true }
    let findings = DoctorChecks.findings(
      .healthy { facts in
        facts.path.topics = (0..<30).map { DoctorFacts.Topic(name: "t/\($0)", type: "Celsius", publisher: 9) }
        facts.path.peers[0].subscriptions = [.init(filter: "t/+", type: "Fahrenheit")]
      }
    ).filter { $0.code == .typeMismatch }
    #expect(findings.count == 21 && findings.last?.text.hasPrefix("There are 10 more") == true)
  }

  // MARK: Silence

  @Test func nobody() {
    expect([.nobody: .problem]) { facts in facts.silence() }
    expect([:]) { facts in
      facts.silence()
      facts.settings.isAlone = true
    }
    expect([.nobody: .problem]) { facts in
      facts.silence()
      facts.settings.target = .nobody
    }
    // Programs of one host find each other whatever lies between hosts.
    expect([.nobody: .warning]) { facts in facts.path.peers[0].isOnThisHost = true }
    expect([:]) { facts in
      facts.path.peers[0].isOnThisHost = true
      facts.settings.isAlone = true
    }
  }

  @Test func targets() {
    for (outcome, code) in [
      (DoctorFacts.Target.refused, Finding.Code.targetRefused), (.unreachable("no route"), .targetUnreachable),
      (.silent, .targetSilent),
    ] {
      expect([code: .problem]) { facts in
        facts.silence()
        facts.settings.target = .endpoint("10.0.0.1:27320")
        facts.path.target = outcome
      }
    }
    let finding = DoctorChecks.findings(
      .healthy { facts in
        facts.silence()
        facts.settings.target = .endpoint("10.0.0.1:27320")
        facts.path.target = .refused
        facts.path.isMulticastAlsoWorking = true
      })[0]
    #expect(finding.commands.contains { $0.hasPrefix("unset GLUE_DISCOVERY_TARGET_ADDRESS") })
    // Whoever answers is there, whatever became of the probe.
    expect([:]) { facts in
      facts.settings.target = .endpoint("10.0.0.1:27320")
      facts.path.target = .silent
    }
  }

  @Test func endpointsOnAnotherInterface() {
    expect([.wrongInterface: .problem]) { facts in
      facts.silence()
      facts.path.elsewhere = ["eth1": ["10.1.0.2"]]
    }
    expect([.wrongInterface: .note]) { facts in facts.path.elsewhere = ["eth1": ["10.1.0.2"]] }
  }

  /// Expects exactly these findings besides those that say ok, after a change to facts that are well.
  private func expect(
    _ expected: [Finding.Code: Finding.Severity], _ change: (inout DoctorFacts) -> Void,
    at location: SourceLocation = #_sourceLocation
  ) {
    let findings = DoctorChecks.findings(.healthy(change)).filter { $0.severity != .ok }
    let found = Dictionary(findings.map { ($0.code, $0.severity) }, uniquingKeysWith: max)
    #expect(found == expected, "\(findings)", sourceLocation: location)
    #expect(DoctorReport.isWell(findings) == !expected.values.contains(.problem), sourceLocation: location)
  }
}

extension DoctorFacts {
  /// A host with one peer, and nothing wrong.
  static var healthy: DoctorFacts {
    var facts = DoctorFacts()
    let own = IPAddress(v4: 0x0A00_0001)
    facts.host.interfaces = [
      Interface(name: "lo", addresses: [.loopbackV4], mtu: 65_536, isLoopback: true),
      Interface(name: "eth0", addresses: [own]),
    ]
    facts.host.chosen = "eth0"
    facts.host.choice = "eth0, which has the default route: \(own)"
    facts.path.seconds = 5
    facts.path.ownMulticast = ["eth0": [.v4]]
    facts.path.heardOn = ["eth0"]
    facts.path.peers = [
      Peer(text: "two (2 at 10.0.0.2:5000)", id: 2, name: "two", address: IPAddress(v4: 0x0A00_0002))
    ]
    facts.echo(20, 20, 20)
    return facts
  }

  static func healthy(_ change: (inout DoctorFacts) -> Void) -> DoctorFacts {
    var facts = healthy
    change(&facts)
    return facts
  }

  /// Of 20 small, middle and large probes so many come back.
  mutating func echo(_ answered: Int...) {
    path.peers[0].echoes = zip([128, 1_200, 1_472], answered).map { Echoes(bytes: $0, sent: 20, answered: $1) }
  }

  mutating func silence() { path.peers = [] }

  /// Only that interface is used, and as well as the one before.
  mutating func use(_ name: String) {
    host.chosen = name
    path.ownMulticast = [name: [.v4]]
    path.heardOn = [name]
  }

  /// Another interface is used as well, and as well as the first.
  mutating func useSecondInterface() {
    host.interfaces.append(Interface(name: "eth1", addresses: [IPAddress(v4: 0x0A01_0001)]))
    host.alsoUsed = ["eth1"]
    settings.choosesInterface = true
    path.ownMulticast["eth1"] = [.v4]
    path.heardOn.insert("eth1")
  }
}
