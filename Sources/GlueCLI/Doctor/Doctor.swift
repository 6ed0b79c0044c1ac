import ArgumentParser
import Foundation
import Glue
import GlueAddress

/// `glue doctor`: says what is wrong between this host and the others, and what mends it.
struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check this host and the path to other endpoints: say what is wrong and what mends it.",
    discussion: """
      Takes part in the network for a few seconds, with the settings of the environment but an endpoint ID and a name of \
      its own, so that it disturbs nobody. It looks at the interfaces, the packet filter and the buffers of this host, at \
      multicast and unicast in both directions, at what gets lost, and at settings that do not go together. Nothing is \
      changed. As root it also sees the packet filter's rules.

      Run it where something is missing; while nobody answers, at the same time on another host: the two find each other.

      Each line begins with ok, note, WARNING or PROBLEM; the word in brackets is stable, docs/doctor.md explains each. With \
      --json each finding is an object on a line of its own with severity, code, text, evidence and commands, and the \
      last line sums up.

      Ends with status 0 if there is no problem, 1 if there is one, 64 for wrong arguments, 78 for settings that cannot be \
      used.
      """)

  @Flag(help: "Show each finding as a JSON object on one line.")
  var json = false

  @Option(help: "How long to look at most; less if all is well. (default: 5s)", transform: parseDuration)
  var duration: Duration = .seconds(5)

  @Flag(help: "Nobody else is to be there: that nobody answers is then no problem.")
  var alone = false

  /// Less than this, and this host's own multicast might not be back on a busy machine.
  private static let leastDuration = Duration.seconds(1)

  func validate() throws {
    guard duration >= Self.leastDuration else { throw ValidationError("--duration is at least 1s") }
  }

  func run() async throws {
    var settings = try Endpoint.Configuration.fromEnvironment()
    for variable in settings.unknownVariables {
      Console.error("glue: \(variable) in the environment is no setting; misspelled?")
    }
    settings.logger.logLevel = .critical
    let interfaces = (try? HostInterface.all()) ?? []
    var facts = DoctorFacts()
    facts.settings = try DoctorFacts.Settings(settings, interfaces, isAlone: alone)
    facts.host = DoctorHost.facts(settings, interfaces)
    facts.host.takenPort = DoctorHost.takenPort(settings, interfaces)
    let examination = Examination(
      configuration: Self.standIn(for: settings), interfaces: interfaces, duration: duration, isAlone: alone)
    if facts.host.takenPort == nil {
      let outcome = Shared<(path: DoctorFacts.Path, choice: InterfaceChoice, receiveBuffer: Int)?>(nil)
      do {
        let stop = try await untilStopped {
          let result = try await examination.run()
          outcome.withLock { $0 = result }
        }
        if let stop { throw ExitCode(stop.status) }
      } catch let failure as EndpointFailure {
        facts.host.startFailure = "\(failure)"
      }
      if let found = outcome.value {
        facts.path = found.path
        facts.host.receiveBufferGranted = found.receiveBuffer
        DoctorHost.note(found.choice, &facts.host)
      }
    }
    let findings = DoctorChecks.findings(facts)
    let lines = json ? DoctorReport.jsonLines(findings, facts) : [title(facts), ""] + DoctorReport.lines(findings)
    for line in lines { try Console.tryLine(line) }
    if !DoctorReport.isWell(findings) { throw ExitCode(Main.Status.failure) }
  }

  /// The settings of the environment for an endpoint that runs beside whoever uses them: with an identity of its own, and
  /// on no port that is one program's alone.
  private static func standIn(for settings: Endpoint.Configuration) -> Endpoint.Configuration {
    var settings = settings
    settings.endpointID = nil
    settings.endpointName =
      "glue-doctor-\(ProcessInfo.processInfo.processIdentifier)-\(String(UInt32.random(in: 0 ... .max), radix: 16))"
    settings.listenAddress = settings.listenAddress.map { SocketAddress(ip: $0.ip, port: 0, scope: $0.scope) }
    if let address = settings.discoveryListenAddress, !address.ip.isMulticast,
      Endpoint.Configuration.isTaken(address, isShared: false)
    {
      settings.discoveryListenAddress = nil
    }
    let meetingPoint = SocketAddress(ip: .loopbackV4, port: DiscoveryTarget.standardPort)
    if settings.discoveryTarget == .nobody, Endpoint.Configuration.isTaken(meetingPoint, isShared: false) {
      // The meeting point is running here already: it is one more that knows it.
      settings.discoveryTarget = .address(meetingPoint)
      settings.discoveryListenAddress = nil
    }
    return settings
  }

  private func title(_ facts: DoctorFacts) -> String {
    let network = "network \(facts.settings.networkID), \(facts.settings.hasKey ? "with a key" : "without a key")"
    let time = facts.path.seconds > 0 ? "; looked for \(Format.fixed(facts.path.seconds, 1)) s" : ""
    return "glue doctor: \(network)\(time)"
  }
}

extension DoctorFacts.Settings {
  init(_ settings: Endpoint.Configuration, _ interfaces: [HostInterface], isAlone: Bool) throws {
    networkID = settings.networkID
    keyFingerprints = try settings.readNetworkKeys().map(\.fingerprint)
    keyFile = settings.networkKeyFile
    keyFileReaders = settings.keyFileReaders
    endpointID = settings.endpointID?.rawValue
    endpointName = settings.endpointName
    choosesInterface = settings.listenInterfaces != .defaultRoute
    target = Target(settings, interfaces)
    groupFamilies = Set(settings.groups.map(\.ip.family))
    self.isAlone = isAlone
  }
}
