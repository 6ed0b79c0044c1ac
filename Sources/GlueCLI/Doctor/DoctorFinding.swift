/// One thing that `glue doctor` found, good or bad.
struct Finding: Hashable, Sendable {
  /// How bad it is.
  enum Severity: String, CaseIterable, Comparable, Sendable {
    /// As it should be.
    case ok
    /// Worth knowing; nothing has to be done.
    case note
    /// It works, but not as well as it could.
    case warning
    /// Something does not work, or will not.
    case problem

    static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }
    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  /// What it is about. The names are stable: scripts rely on them. docs/doctor.md explains each.
  enum Code: String, CaseIterable, Sendable {
    case interface
    case wrongInterface = "wrong-interface"
    case otherInterfaces = "other-interfaces"
    case virtualInterface = "virtual-interface"
    case multicastFlag = "multicast-flag"
    case interfaceMTU = "interface-mtu"
    case receiveBuffer = "receive-buffer"
    case portTaken = "port-taken"
    case firewall
    case sending
    case notChecked = "not-checked"
    case peers
    case nobody
    case multicastIn = "multicast-in"
    case multicastOut = "multicast-out"
    case multicast
    case multicastBlocked = "multicast-blocked"
    case unicastIn = "unicast-in"
    case unicastOut = "unicast-out"
    case pathMTU = "path-mtu"
    case lossLarge = "loss-large"
    case loss
    case clock
    case idClash = "id-clash"
    case nameClash = "name-clash"
    case networkID = "network-id"
    case networkKey = "network-key"
    case keyFile = "key-file"
    case version
    case typeMismatch = "type-mismatch"
    case targetRefused = "target-refused"
    case targetUnreachable = "target-unreachable"
    case targetSilent = "target-silent"
  }

  var severity: Severity
  var code: Code
  /// What is the matter, in a sentence or two for somebody who has read no documents.
  var text: String
  /// What that was concluded from.
  var evidence: [String] = []
  /// Commands that mend it, or show more of it; each can be typed as it stands, but for words in capitals.
  var commands: [String] = []

  init(_ severity: Severity, _ code: Code, _ text: String, evidence: [String] = [], commands: [String] = []) {
    self.severity = severity
    self.code = code
    self.text = text
    self.evidence = evidence
    self.commands = commands
  }
}
