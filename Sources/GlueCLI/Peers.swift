import ArgumentParser
import Glue

/// `glue peers`: shows who is there.
struct Peers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Join the network for a moment and show the other endpoints.")

  @Flag(help: "Show each interface and each peer as a JSON object on one line, the interfaces first.")
  var json = false

  @Option(help: "How long to listen. (default: 3s)", transform: parseDuration)
  var duration: Duration = .seconds(3)

  @OptionGroup var options: EndpointOptions

  func run() async throws {
    let endpoint = try await options.makeEndpoint()
    try await GlueCLI.run(
      endpoint, quiet: true, for: duration,
      { _ in try await Task.sleep(for: .seconds(86_400 * 365)) },
      conclude: { endpoint, _ in
        let choice = endpoint.interfaceChoice
        if json {
          for interface in choice.interfaces { try Console.tryLine(jsonLine(interface, choice.reason)) }
        } else {
          Console.error("glue: on \(choice)")
        }
        for peer in endpoint.peers { try Console.tryLine(json ? jsonLine(peer) : textLine(peer).printable) }
        if endpoint.multicast.isBroken { Console.error("glue: multicast: \(endpoint.multicast)") }
        if endpoint.peers.isEmpty { Console.error("glue: nobody answered within \(duration)") }
      })
  }

  private func textLine(_ peer: Peer) -> String {
    "\(peer.id) \(peer.name) at \(peer.addressText)" + (peer.hearing.map { ", \($0)" } ?? "")
  }

  private func jsonLine(_ interface: InterfaceChoice.Interface, _ reason: InterfaceChoice.Reason) -> String {
    var line = JSONLine()
    line.add("interface", interface.name)
    line.add("used", interface.obstacle == nil)
    line.add("why", interface.obstacle?.description ?? reason.description)
    line.add("addresses", interface.addresses.map(\.description))
    return line.line
  }

  private func jsonLine(_ peer: Peer) -> String {
    var line = JSONLine()
    line.add("id", peer.id.rawValue)
    line.add("name", peer.name)
    line.add("incarnation", peer.incarnation.rawValue)
    line.add("address", peer.isRelayed ? nil : peer.addressText)
    line.add("relay", peer.relay?.rawValue)
    line.add("multicast", peer.hearing?.rawValue)
    return line.line
  }
}
