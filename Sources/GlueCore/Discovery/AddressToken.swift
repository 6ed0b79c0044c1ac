import GlueAddress

/// Makes and checks the tokens of challenges without remembering them: a keyed hash over everything a token stands for
/// (docs/protocol.md §4.2). The lowest two bits say how the challenged endpoint was found, and are part of what is hashed.
struct AddressToken: Sendable {
  private let key: (UInt64, UInt64)
  private let window: UInt64

  init(key: (UInt64, UInt64), window: Nanoseconds) {
    self.key = key
    self.window = max(1, window.count)
  }

  func make(
    for id: EndpointID, _ incarnation: Incarnation, at address: SocketAddress, origin: PeerInfo.Origin,
    now: Timestamp
  ) -> UInt64 {
    token(id, incarnation, address, origin.rawValue, number: now.nanoseconds / window)
  }

  /// How the endpoint was found, if the token is one of ours for it, of this time window or the one before.
  func check(
    _ token: UInt64, for id: EndpointID, _ incarnation: Incarnation, at address: SocketAddress, now: Timestamp
  ) -> PeerInfo.Origin? {
    let origin = UInt8(token & 3)
    let number = now.nanoseconds / window
    guard
      token == self.token(id, incarnation, address, origin, number: number)
        || number > 0 && token == self.token(id, incarnation, address, origin, number: number - 1)
    else { return nil }
    return PeerInfo.Origin(rawValue: origin)
  }

  private func token(
    _ id: EndpointID, _ incarnation: Incarnation, _ address: SocketAddress, _ origin: UInt8, number: UInt64
  ) -> UInt64 {
    let hash = SipHash.hash(
      address.ip.high, address.ip.low, address.word, id.rawValue, incarnation.rawValue, number, UInt64(origin),
      key: key)
    return hash & ~3 | UInt64(origin)
  }
}
