import Foundation
import Glue
import GlueAddress
import Logging
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite("Configuration")
struct ConfigurationTests {
  @Test("Nothing set: the defaults")
  func defaults() throws {
    let configuration = try Endpoint.Configuration.fromEnvironment(["HOME": "/", "PATH": ""])
    #expect(configuration.networkID == 1)
    #expect(configuration.endpointID == nil)
    #expect(configuration.endpointName == nil)
    #expect(configuration.listenAddress == nil)
    #expect(configuration.listenInterfaces == .defaultRoute)
    #expect(configuration.discoveryTarget == .standard)
    #expect(configuration.discoveryListenAddress == nil)
    #expect(configuration.discoveryInterval == .seconds(1))
    #expect(configuration.discoveryTimeoutMultiplier == 5)
    #expect(DiscoveryTarget.standardGroup == (try IPAddress("239.192.137.1")))
    #expect(DiscoveryTarget.standardGroupV6 == (try IPAddress("ff12::efc0:8901")))
  }

  @Test("Everything set")
  func everything() throws {
    let configuration = try Endpoint.Configuration.fromEnvironment([
      "GLUE_NETWORK_ID": "0",
      "GLUE_ENDPOINT_ID": "18446744073709551615",
      "GLUE_ENDPOINT_NAME": "Küche 1",
      "GLUE_LISTEN_ADDRESS": "192.168.1.4:5000",
      "GLUE_LISTEN_INTERFACE": "eth0",
      "GLUE_DISCOVERY_TARGET_ADDRESS": "10.0.0.255:4000",
      "GLUE_DISCOVERY_LISTEN_ADDRESS": "0.0.0.0:4000",
      "GLUE_DISCOVERY_RATE_MILLISECONDS": "10",
      "GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER": "1.5",
      "GLUE_RELAY": "0",
      "GLUE_MULTICAST_DATA": "0",
      "GLUE_BUSY_POLLING_MICROSECONDS": "200",
    ])
    #expect(configuration.networkID == 0)
    #expect(configuration.endpointID == EndpointID(.max))
    #expect(configuration.endpointName == "Küche 1")
    #expect(configuration.listenAddress == (try SocketAddress("192.168.1.4:5000")))
    #expect(configuration.listenInterfaces == .named(["eth0"]))
    #expect(configuration.discoveryTarget == .address(try SocketAddress("10.0.0.255:4000")))
    #expect(configuration.discoveryListenAddress == (try SocketAddress("0.0.0.0:4000")))
    #expect(configuration.discoveryInterval == .milliseconds(10))
    #expect(configuration.discoveryTimeoutMultiplier == 1.5)
    #expect(!configuration.relays)
    #expect(!configuration.multicastsData)
    #expect(configuration.busyPollingTime == .microseconds(200))
  }

  @Test("A target of 0 announces to nobody")
  func nobody() throws {
    let configuration = try Endpoint.Configuration.fromEnvironment(["GLUE_DISCOVERY_TARGET_ADDRESS": "0"])
    #expect(configuration.discoveryTarget == .nobody)
  }

  @Test(
    "A bad value is refused in one line that names the variable, the value and what is accepted",
    arguments: [
      ("GLUE_NETWORK_ID", ["-1", "+1", "abc", "", " 1", "1.0", "0x10", "18446744073709551616"], "an integer from 0"),
      ("GLUE_ENDPOINT_ID", ["0", "-5", "", "kitchen", "18446744073709551616"], "an integer from 1"),
      ("GLUE_ENDPOINT_NAME", ["", String(repeating: "n", count: 257)], "1 to 256 bytes"),
      ("GLUE_LISTEN_ADDRESS", ["", "1.2.3.4", "1.2.3:5", "host:80", "1.2.3.4:65536", "[::1]"], "ADDRESS:PORT"),
      ("GLUE_LISTEN_INTERFACE", [""], "the name of a network interface"),
      ("GLUE_DISCOVERY_TARGET_ADDRESS", ["", "1", "none", "239.192.137.1"], "or 0 to announce to nobody"),
      ("GLUE_DISCOVERY_LISTEN_ADDRESS", ["", "0", "239.192.137.1:x"], "ADDRESS:PORT"),
      ("GLUE_DISCOVERY_RATE_MILLISECONDS", ["abc", "9", "60001", "", "1e3", "1000.5"], "an integer from 10 to 60000"),
      ("GLUE_RELAY", ["", "2", "true", " 1"], "1 or 0"),
      ("GLUE_MULTICAST_DATA", ["", "2", "no"], "1 or 0"),
      ("GLUE_BUSY_POLLING_MICROSECONDS", ["", "-1", "50µs", "10000001"], "an integer from 0 to 10000000"),
      (
        "GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER", ["0.9", "nan", "inf", "", "-5", "1e3", "five"],
        "a number of at least 1"
      ),
    ])
  func refused(variable: String, values: [String], expectation: String) throws {
    for value in values {
      let error = try #require(throws: ConfigurationError.self) {
        _ = try Endpoint.Configuration.fromEnvironment([variable: value])
      }
      #expect(error.name == variable)
      #expect(error.value == value)
      #expect("\(error)".hasPrefix("\(variable)=\"\(value)\": expected "))
      #expect(error.expectation.contains(expectation))
      #expect(!"\(error)".contains("\n"))
    }
    #expect(Endpoint.Configuration.environmentVariables.contains(variable))
  }

  @Test("The line reads as documented")
  func wording() throws {
    let error = try #require(throws: ConfigurationError.self) {
      _ = try Endpoint.Configuration.fromEnvironment(["GLUE_DISCOVERY_RATE_MILLISECONDS": "abc"])
    }
    #expect("\(error)" == "GLUE_DISCOVERY_RATE_MILLISECONDS=\"abc\": expected an integer from 10 to 60000")
  }

  @Test(
    "IPv6 addresses are accepted as IPv4 addresses are",
    arguments: [
      "GLUE_LISTEN_ADDRESS", "GLUE_DISCOVERY_TARGET_ADDRESS", "GLUE_DISCOVERY_LISTEN_ADDRESS",
    ])
  func v6(variable: String) throws {
    for value in ["[::1]:5000", "[fd00::1]:27320", "[fe80::1%1]:5000", "[ff02::1]:27320"] {
      let configuration = try Endpoint.Configuration.fromEnvironment([variable: value])
      let address =
        if case .address(let target) = configuration.discoveryTarget {
          target
        } else {
          configuration.listenAddress ?? configuration.discoveryListenAddress
        }
      #expect(address == (try SocketAddress(value)))
    }
    let named = try Endpoint.Configuration.fromEnvironment(["GLUE_LISTEN_ADDRESS": "[fe80::1%lo]:5000"])
    #expect(named.listenAddress?.scope != 0)
    for (value, reason) in [
      ("::1", "to stand in brackets"), ("fe80::1%lo:5000", "to stand in brackets"), ("[::1]", "and a port"),
      ("[fe80::1%nosuch0]:5000", "an interface of this host after \"%\""),
    ] {
      let error = try #require(throws: ConfigurationError.self) {
        _ = try Endpoint.Configuration.fromEnvironment([variable: value])
      }
      #expect("\(error)".hasPrefix("\(variable)=\"\(value)\": expected ADDRESS:PORT"))
      #expect("\(error)".contains(reason))
    }
  }

  @Test("Addresses of one endpoint are of one family, and on one link")
  func families() async throws {
    for (variable, value, reason) in [
      ("GLUE_LISTEN_ADDRESS", "[::]:0", "one address family, and GLUE_DISCOVERY_TARGET_ADDRESS is 239.1.2.3:4000"),
      ("GLUE_DISCOVERY_LISTEN_ADDRESS", "[ff02::1]:4000", "one address family"),
      ("GLUE_LISTEN_ADDRESS", "[::ffff:127.0.0.1]:0", "an IPv4 address stands without ::ffff: and brackets"),
    ] {
      let configuration = try Endpoint.Configuration.fromEnvironment([
        "GLUE_LISTEN_INTERFACE": "lo", "GLUE_DISCOVERY_TARGET_ADDRESS": "239.1.2.3:4000", variable: value,
      ])
      let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(configuration) }
      #expect("\(error)".hasPrefix("\(variable)=\"\(value)\": expected ADDRESS:PORT"))
      #expect("\(error)".contains(reason))
    }
    let elsewhere = try Endpoint.Configuration.fromEnvironment([
      "GLUE_LISTEN_INTERFACE": "lo", "GLUE_LISTEN_ADDRESS": "[fe80::1%4711]:0",
    ])
    let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(elsewhere) }
    #expect("\(error)" == "GLUE_LISTEN_ADDRESS=\"[fe80::1%4711]:0\": expected an address on the interface lo")
  }

  @Test("A value that is not UTF-8 is refused, not taken for one that is not set")
  func notUTF8() async {
    // In a process of its own: the environment belongs to all tests.
    await #expect(processExitsWith: .success) {
      for variable in Endpoint.Configuration.environmentVariables {
        setenv(variable, "K\u{FF}che".unicodeScalars.map { CChar(truncatingIfNeeded: $0.value) } + [0], 1)
        let error = try #require(throws: ConfigurationError.self) { _ = try Endpoint.Configuration.fromEnvironment() }
        #expect(error.name == variable)
        if variable != "GLUE_NETWORK_KEY" { #expect(error.value == "K\u{FFFD}che") }
        #expect(error.expectation.hasSuffix(", in UTF-8"))
        unsetenv(variable)
      }
      setenv("GLUE_ENDPOINT_NAME", "Küche", 1)
      #expect(try Endpoint.Configuration.fromEnvironment().endpointName == "Küche")
    }
  }

  @Test(
    "Any port to listen for announcements goes with a unicast target only: nobody else would know it",
    arguments: [
      ("239.192.137.1:27320", "127.0.0.1:0", false), ("239.192.137.1:27320", "239.192.137.1:0", false),
      ("255.255.255.255:27320", "0.0.0.0:0", false), ("255.255.255.255:27320", "127.0.0.1:0", false),
      ("0", "127.0.0.1:0", false), ("0", "239.192.137.1:0", false),
      ("127.0.0.1:27320", "239.192.137.1:0", false), ("127.0.0.1:27320", "255.255.255.255:0", false),
      ("127.0.0.1:27320", "127.0.0.1:0", true), ("127.0.0.1:27320", "0.0.0.0:0", true),
      ("239.192.137.1:27320", "127.0.0.1:27321", true), ("0", "127.0.0.1:27321", true),
    ])
  func anyDiscoveryPort(target: String, listen: String, isGood: Bool) async throws {
    let configuration = try Endpoint.Configuration.fromEnvironment([
      "GLUE_LISTEN_INTERFACE": "lo", "GLUE_DISCOVERY_TARGET_ADDRESS": target, "GLUE_DISCOVERY_LISTEN_ADDRESS": listen,
    ])
    if isGood {
      _ = try await Endpoint(configuration)
    } else {
      let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(configuration) }
      #expect("\(error)".hasPrefix("GLUE_DISCOVERY_LISTEN_ADDRESS=\"\(listen)\": expected ADDRESS:PORT with a port"))
    }
  }

  @Test("An interface that is not there is waited for; a name that no interface can have is refused")
  func interface() async throws {
    let missing = try Endpoint.Configuration.fromEnvironment(["GLUE_LISTEN_INTERFACE": "nosuch0"])
    let choice = try await Endpoint(missing).interfaceChoice
    #expect(choice.used.isEmpty && choice.reason == .setting && choice.interfaces.first?.obstacle == .missing)
    #expect("\(choice)".hasPrefix("nosuch0, as set: waiting for it, it is not there"))
    let many = (0..<17).map { "e\($0)" }.joined(separator: ",")
    for name in [
      "no-such-interface", "a/b", "a b", "", ",", "lo,", "lo,,eth0", "lo, eth0", "lo,lo", "all,lo", "lo,all", many,
    ] {
      let error = try #require(throws: ConfigurationError.self) {
        _ = try Endpoint.Configuration.fromEnvironment(["GLUE_LISTEN_INTERFACE": name])
      }
      #expect("\(error)".hasPrefix("GLUE_LISTEN_INTERFACE=\"\(name)\": expected the name of a network interface"))
    }
  }

  @Test("Several interfaces, or all")
  func interfaces() throws {
    func selection(_ text: String) throws -> InterfaceSelection {
      try Endpoint.Configuration.fromEnvironment(["GLUE_LISTEN_INTERFACE": text]).listenInterfaces
    }
    #expect(try selection("eth0,wlan0") == .named(["eth0", "wlan0"]))
    #expect(try selection("all") == .all)
    #expect(try selection("allx") == .named(["allx"]))
  }

  @Test(
    "An address of one link goes with one interface",
    arguments: ["[fe80::1]:4000", "[fe80::1%lo]:4000", "[ff12::1%lo]:4000"])
  func linkLocal(address: String) async throws {
    for selection in ["lo,eth0", "all"] {
      let configuration = try Endpoint.Configuration.fromEnvironment([
        "GLUE_LISTEN_INTERFACE": selection, "GLUE_DISCOVERY_TARGET_ADDRESS": address,
      ])
      let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(configuration) }
      #expect(
        "\(error)"
          == "GLUE_DISCOVERY_TARGET_ADDRESS=\"\(address)\": expected no address of one link, as GLUE_LISTEN_INTERFACE is \(selection)"
      )
    }
    let one = try Endpoint.Configuration.fromEnvironment([
      "GLUE_LISTEN_INTERFACE": "lo", "GLUE_DISCOVERY_TARGET_ADDRESS": address,
    ])
    _ = try await Endpoint(one)
  }

  @Test("Fields are checked as variables are", arguments: BadField.all)
  func fields(field: BadField) async throws {
    var configuration = Endpoint.Configuration()
    configuration.listenInterfaces = .named(["lo"])
    field.change(&configuration)
    let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(configuration) }
    #expect(error.name == field.name)
  }

  struct BadField: Sendable, CustomTestStringConvertible {
    let name: String
    let change: @Sendable (inout Endpoint.Configuration) -> Void
    var testDescription: String { name }

    private static let v6 = SocketAddress(ip: IPAddress(v6High: 0, low: 1), port: 5_000)
    static let all = [
      BadField(name: "endpointID") { $0.endpointID = EndpointID(0) },
      BadField(name: "endpointName") { $0.endpointName = "" },
      BadField(name: "discoveryInterval") { $0.discoveryInterval = .milliseconds(9) },
      BadField(name: "discoveryInterval") { $0.discoveryInterval = .seconds(61) },
      BadField(name: "discoveryTimeoutMultiplier") { $0.discoveryTimeoutMultiplier = 0.5 },
      BadField(name: "discoveryTarget") {
        $0.discoveryTarget = .address(SocketAddress(ip: DiscoveryTarget.standardGroup, port: 0))
      },
      BadField(name: "listenAddress") {
        $0.listenAddress = SocketAddress(ip: DiscoveryTarget.standardGroup, port: 5_000)
      },
      BadField(name: "listenAddress") {
        $0.discoveryTarget = .address(SocketAddress(ip: DiscoveryTarget.standardGroup, port: 1))
        $0.listenAddress = v6
      },
      BadField(name: "listenAddress") {
        $0.listenAddress = SocketAddress(ip: .anyV4, port: 0)
        $0.discoveryListenAddress = v6
      },
      BadField(name: "discoveryListenAddress") {
        $0.discoveryListenAddress = SocketAddress(ip: DiscoveryTarget.standardGroup, port: 0)
      },
      BadField(name: "networkKeys") {
        $0.networkKeys = (0..<5).compactMap { _ in NetworkKey(base64: NetworkKey.makeBase64()) }
      },
      BadField(name: "networkKeyFile") { $0.networkKeyFile = "/nosuch" },
      BadField(name: "listenInterfaces") { $0.listenInterfaces = .named([]) },
      BadField(name: "listenInterfaces") { $0.listenInterfaces = .named(["eth0", "eth0"]) },
      BadField(name: "receiveBufferBytes") { $0.receiveBufferBytes = 0 },
      BadField(name: "receiveBufferBytes") { $0.receiveBufferBytes = .max },
      BadField(name: "eventQueueLimit") { $0.eventQueueLimit = 0 },
      BadField(name: "slowCallbackThreshold") { $0.slowCallbackThreshold = .seconds(-1) },
      BadField(name: "answerPollingLimit") { $0.answerPollingLimit = .milliseconds(2) },
      BadField(name: "busyPollingTime") { $0.busyPollingTime = .seconds(11) },
      BadField(name: "busyPollingTime") { $0.busyPollingTime = .seconds(-1) },
    ]
  }

  @Test("A key is the base64 of 32 bytes, and is never shown")
  func networkKeys() throws {
    let good = NetworkKey.makeBase64()
    #expect(good != NetworkKey.makeBase64())
    #expect(try Endpoint.Configuration.fromEnvironment(["GLUE_NETWORK_KEY": good]).networkKeys.count == 1)
    for bad in [
      "", "secret", String(good.dropLast()), good + "\n", good + "A", "A" + good, good.replacing("=", with: ""),
    ] {
      let error = try #require(throws: ConfigurationError.self) {
        _ = try Endpoint.Configuration.fromEnvironment(["GLUE_NETWORK_KEY": bad])
      }
      #expect(error.name == "GLUE_NETWORK_KEY")
      #expect(error.value == "(\(bad.utf8.count) bytes, not shown)")
      #expect(bad.isEmpty || !"\(error)".contains(bad))
    }
  }

  @Test("A file of keys")
  func keyFile() async throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("glue-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    let keys = (0..<5).map { _ in NetworkKey.makeBase64() }
    func endpoint(_ content: String?) async throws -> Endpoint {
      if let content { try Data(content.utf8).write(to: file) }
      var configuration = try Endpoint.Configuration.fromEnvironment(["GLUE_NETWORK_KEY_FILE": file.path])
      configuration.listenInterfaces = .named(["lo"])
      return try await Endpoint(configuration)
    }
    let good = try await endpoint("# old and new\n\(keys[0])\r\n\n  \(keys[1])  \n")
    #expect(good.configuration.networkKeys == keys[..<2].compactMap { NetworkKey(base64: $0) })
    for (content, reason) in [
      ("", "it has 0 keys"), (keys.joined(separator: "\n"), "it has 5 keys"),
      ("\(keys[0])\nx\(keys[1])", "line 2 is none"),
      (String(repeating: "#", count: 70_000), "it has 70000 bytes"),
    ] {
      let error = try await #require(throws: ConfigurationError.self) { _ = try await endpoint(content) }
      #expect("\(error)".hasPrefix("GLUE_NETWORK_KEY_FILE=\"\(file.path)\": expected a file"))
      #expect("\(error)".hasSuffix("; \(reason)"))
      #expect(!"\(error)".contains(keys[0].prefix(20)))
    }
    try FileManager.default.removeItem(at: file)
    let error = try await #require(throws: ConfigurationError.self) { _ = try await endpoint(nil) }
    #expect("\(error)".hasSuffix("; it cannot be read"))
    let both = ["GLUE_NETWORK_KEY_FILE": file.path, "GLUE_NETWORK_KEY": keys[0]]
    let conflict = try await #require(throws: ConfigurationError.self) {
      _ = try await Endpoint(.fromEnvironment(both))
    }
    #expect("\(conflict)".hasSuffix("and not GLUE_NETWORK_KEY as well"))
  }

  @Test("Derived identities differ")
  func identities() async throws {
    var configuration = Endpoint.Configuration()
    configuration.listenInterfaces = .named(["lo"])
    let one = try await Endpoint(configuration)
    let other = try await Endpoint(configuration)
    #expect(one.id != other.id)
    #expect(one.name != other.name)
    #expect(one.incarnation != other.incarnation)
    #expect((1...256).contains(one.name.utf8.count))
  }
}

@Suite("Warnings")
struct WarningTests {
  @Test("A misspelled variable is named in the log when the endpoint is made")
  func misspelled() async throws {
    let lines = Collected<String>()
    var configuration = try Endpoint.Configuration.fromEnvironment(["GLUE_NETWORK": "5", "GLUE_LISTEN_INTERFACE": "lo"])
    configuration.logger = Logger(label: "test") { _ in CollectingHandler(lines: lines) }
    _ = try await Endpoint(configuration)
    #expect(lines.all.count { $0.contains("GLUE_NETWORK") } == 1)
    #expect(lines.all.count { $0.contains("the network has no key") } == 1)
  }

  @Test(
    "A key file that others can read is warned of, also where a link leads to it", arguments: [0o600, 0o640, 0o644])
  func readableKeyFile(permissions: Int) async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("glue-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }
    let (file, link) = (directory.appendingPathComponent("key"), directory.appendingPathComponent("link"))
    try Data(NetworkKey.makeBase64().utf8).write(to: file)
    try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: file.path)
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
    for path in [file.path, link.path] {
      let lines = Collected<String>()
      var configuration = try Endpoint.Configuration.fromEnvironment([
        "GLUE_NETWORK_KEY_FILE": path, "GLUE_LISTEN_INTERFACE": "lo",
      ])
      configuration.logger = Logger(label: "test") { _ in CollectingHandler(lines: lines) }
      _ = try await Endpoint(configuration)
      let warnings = lines.all.filter { $0.hasPrefix("warning the key file can be read by ") }
      #expect(warnings.count == (permissions == 0o600 ? 0 : 1))
      #expect(warnings.allSatisfy { $0.contains(permissions == 0o640 ? "its group" : "every user") })
    }
  }

  private struct CollectingHandler: LogHandler {
    let lines: Collected<String>
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    init(lines: Collected<String>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      lines.append("\(event.level) \(event.message) \(event.metadata ?? [:])")
    }
  }
}
