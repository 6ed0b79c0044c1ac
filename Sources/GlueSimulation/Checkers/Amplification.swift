import GlueAddress

/// An address that has proven nothing is sent no more bytes than came from it, so that nobody can be flooded through us
/// by forging his address.
package struct Amplification {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Edge: Hashable {
    var life: Life
    var address: SocketAddress
  }
  private var balance: [Edge: Int] = [:]

  /// Nothing sent yet.
  package init() {}

  /// A life got bytes that claim to come from an unproven address.
  package mutating func received(_ life: Life, from address: SocketAddress, bytes: Int) {
    balance[Edge(life: life, address: address), default: 0] += bytes
  }

  /// A life sent bytes to an unproven address.
  package mutating func sent(_ life: Life, to address: SocketAddress, bytes: Int) -> String? {
    checks += 1
    let edge = Edge(life: life, address: address)
    balance[edge, default: 0] -= bytes
    guard balance[edge]! < 0 else { return nil }
    return "life \(life) sent \(-balance[edge]!) bytes more to an unproven address than came from it"
  }
}
