import GlueAddress
import GlueNetwork
import Testing

@Suite struct AddressTextTests {
  @Test(arguments: [
    "0.0.0.0", "127.0.0.1", "255.255.255.255", "192.168.1.4", "::", "::1", "1::", "fe80::1", "fd00::1:2",
    "2001:db8:1:2:3:4:5:6", "2001:db8::1:0:0:1", "1:0:0:2::3", "::ffff:192.168.1.4", "1:2:3:4:5:6:7:0", "ff02::fb",
  ])
  func addressesRoundTrip(_ text: String) throws {
    #expect(try IPAddress(text).description == text)
  }

  @Test(arguments: [
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("0:0:0:0:0:0:0:0", "::"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
    ("1:2:0:0:5:0:0:8", "1:2::5:0:0:8"), ("2:0:0:3:0:0:0:4", "2:0:0:3::4"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ("::1.2.3.4", "::102:304"), ("00ab::", "ab::"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
  ])
  func addressesArePrintedInCanonicalForm(_ text: String, _ canonical: String) throws {
    #expect(try IPAddress(text).description == canonical)
  }

  @Test(arguments: [
    "", " 127.0.0.1", "127.0.0.1 ", "127.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.04", "1..2.3",
    "+1.2.3.4",
    "0x7f.0.0.1", "1.2.3.4:80", "localhost", "１.2.3.4", ":", ":::", "1:::2", "::1::", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "1:", ":1", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "::1.2.3", "[::1]", "fe80::1%2", "::-1",
  ])
  func otherTextsAreNoAddresses(_ text: String) {
    #expect(throws: AddressError.self) { try IPAddress(text) }
  }

  @Test(arguments: ["127.0.0.1:27320", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[fe80::1%3]:80"])
  func socketAddressesRoundTrip(_ text: String) throws {
    #expect(try SocketAddress(text).description == text)
  }

  @Test(arguments: [
    "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1",
    "127.0.0.1:80 ", "127.0.0.1:000080", "127.0.0.1:8x", "1.2.3:80", "::1:80", "[::1]", "[::1]80", "[::1]:", "[::1",
    "[]:80",
    "[127.0.0.1]:80", "[fe80::1%]:80", "[fe80::1%eth0]:80", "[fe80::1%4294967296]:80", "[[::1]]:80", "localhost:80",
  ])
  func otherTextsAreNoSocketAddresses(_ text: String) {
    #expect(throws: AddressError.self) { try SocketAddress(text) }
  }

  @Test func errorsSayWhatIsExpected() {
    let error = #expect(throws: AddressError.self) { try SocketAddress("10.0.0.1:99999") }
    #expect(
      error?.description == "\"10.0.0.1:99999\" is not an address: expected a port from 0 to 65535 after the last \":\""
    )
  }

  @Test(arguments: ["localhost:80", "localhost", "pump-2.example:80", "3com.example:27320"])
  func hostNamesAreRefusedAsSuch(_ text: String) {
    let error = #expect(throws: AddressError.self) { try SocketAddress(text) }
    #expect(error?.reason.hasPrefix("host names are not looked up, expected an IP address and a port") == true)
  }

  @Test func scopesMayNameAnInterface() throws {
    let loopback = try #require(try NetworkInterface.all().first { $0.isLoopback })
    let address = try SocketAddress(resolvingInterfaceIn: "[fe80::1%\(loopback.name)]:80")
    #expect(address.scope == loopback.index)
    #expect(address.textNamingInterface == "[fe80::1%\(loopback.name)]:80")
    #expect(SocketAddress(ip: address.ip, port: 80, scope: .max).textNamingInterface == "[fe80::1%4294967295]:80")
    #expect(throws: AddressError.self) { try SocketAddress(resolvingInterfaceIn: "[fe80::1%none-such]:80") }
  }

  @Test(arguments: [
    ("fe80::1", true), ("febf::1", true), ("fec0::1", false), ("fd00::1", false), ("::1", false), ("ff02::1", true),
    ("ff12::efc0:8901", true), ("ff01::1", true), ("ff05::1", false), ("ff0e::1", false), ("169.254.1.1", false),
  ])
  func whatIsGoodOnOneLinkNeedsAScope(_ text: String, _ needsScope: Bool) throws {
    let ip = try IPAddress(text)
    #expect(ip.needsScope == needsScope)
    #expect(SocketAddress(ip: ip, port: 1).scoped(to: 3).scope == (needsScope ? 3 : 0))
    #expect(SocketAddress(ip: ip, port: 1, scope: 2).scoped(to: 3).scope == (needsScope ? 2 : 0))
  }

  /// Any text gives an address or an error, and what is accepted prints to something that parses to the same.
  @Test func arbitraryTextsAreTotal() throws {
    var generator = SplitMix64(state: 27320)
    let alphabet = Array("0129af:.[]%:: ")
    var accepted = 0
    for _ in 0..<200_000 {
      let text = String(
        (0..<Int.random(in: 0...12, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! })
      if let address = try? IPAddress(text) {
        accepted += 1
        #expect(try IPAddress(address.description) == address)
      }
      if let address = try? SocketAddress(text) { #expect(try SocketAddress(address.description) == address) }
    }
    #expect(accepted > 100)
  }
}

/// A small seeded generator, so that a failure repeats.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
