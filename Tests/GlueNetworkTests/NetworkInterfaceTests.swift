import GlueAddress
import GlueNetwork
import Testing

@Suite struct NetworkInterfaceTests {
  @Test func loopbackIsListed() throws {
    let interfaces = try NetworkInterface.all()
    let loopback = try #require(interfaces.first { $0.isLoopback })
    #expect(loopback.addresses.contains(.loopbackV4))
    #expect(loopback.isUp)
    #expect(loopback.supportsMulticast)
    #expect(loopback.index > 0)
    #expect(loopback.mtu >= 1_500)
    #expect(Set(interfaces.map(\.name)).count == interfaces.count)
    #expect(interfaces.map(\.index) == interfaces.map(\.index).sorted())
    #expect(try NetworkInterface.named(loopback.name) == loopback)
  }

  @Test func errorOfAnUnknownNameListsTheNames() throws {
    let error = #expect(throws: NetworkError.self) { try NetworkInterface.named("none-such") }
    let names = try NetworkInterface.all().map(\.name)
    #expect(
      error?.description
        == "cannot find network interface \"none-such\"; expected one of \(names.joined(separator: ", "))")
  }

  @Test func preferredInterfaceIsUp() throws {
    let preferred = try NetworkInterface.preferred()
    #expect(preferred.isUp)
    #expect(try NetworkInterface.ofDefaultRoute().map { $0 == preferred } ?? preferred.isLoopback)
  }

  @Test func virtualInterfacesAreKnownByTheirNames() {
    typealias Kind = NetworkInterface.VirtualKind
    for name in ["wg0", "tun3", "utun5", "tailscale0"] { #expect(Kind(name: name) == .tunnel) }
    for name in ["docker0", "br-0123456789ab", "veth9", "virbr0", "cni0", "lxcbr0"] {
      #expect(Kind(name: name) == .guests)
    }
    #expect(Kind(name: "awdl0") == .system)
    for name in ["eth0", "enp3s0", "wlan0", "wlp2s0", "en0", "bond0", "br0", "br-lan"] {
      #expect(Kind(name: name) == nil)
    }
    for (name, isVirtual) in [("docker0", true), ("awdl0", true), ("zt7nnig26", false), ("eth0", false)] {
      #expect(NetworkInterface(index: 1, name: name, addresses: []).isVirtual == isVirtual, "\(name)")
    }
  }

  @Test func monotonicClockNeverGoesBack() {
    var last = MonotonicClock.nowNanoseconds()
    for _ in 0..<10_000 {
      let now = MonotonicClock.nowNanoseconds()
      #expect(now >= last)
      last = now
    }
    #expect(MonotonicClock.wallNanoseconds() > 1_600_000_000_000_000_000)
  }
}
