import GlueAddress

/// A frame of the discovery layer: all that goes under a long header.
public enum DiscoveryFrame: Equatable, Sendable {
  /// Who the sender is.
  case announce(Announcement)
  /// Prove that you receive where you send from.
  case challenge(token: UInt64)
  /// The proof, for the incarnation that asked.
  case answer(token: UInt64, incarnation: Incarnation)
  /// The sender's side of a session.
  case welcome(Welcome)
  /// An older holder of the addressee's ID or name exists.
  case clash(Clash)

  /// Bytes on the wire, frame header included.
  public var byteCount: Int {
    let body =
      switch self {
      case .announce(let announcement): announcement.byteCount
      case .challenge: 8
      case .answer: 16
      case .welcome(let welcome): 17 + varintBytes(welcome.receiveBufferBytes) + welcome.announcement.byteCount
      case .clash(let clash): 25 + varintBytes(clash.uptimeMilliseconds) + textBytes(clash.name)
      }
    return WireLimits.frameHeaderBytes + body
  }

  /// Least bytes of a datagram that holds the frame: what makes no answer larger than its cause (docs/protocol.md §4).
  public var minimumDatagramBytes: Int {
    switch self {
    case .announce: WireLimits.announceDatagramBytes
    case .challenge: WireLimits.challengeDatagramBytes
    case .answer, .welcome, .clash: 0
    }
  }
}

extension Announcement {
  /// Bytes of the body on the wire.
  var byteCount: Int {
    var count = 7 + varintBytes(intervalMilliseconds) + varintBytes(leaseTenths) + varintBytes(uptimeMilliseconds)
    count += varintBytes(interestVersion) + textBytes(name)
    count += varintBytes(UInt64(locators.count))
    for locator in locators { count += locator.ip.family == .v4 ? 8 : 20 }
    count += varintBytes(UInt64(heard.count)) + 8 * heard.count
    count += varintBytes(UInt64(attributes.entries.count))
    for entry in attributes.entries {
      count += varintBytes(entry.key) + varintBytes(UInt64(entry.value.count)) + entry.value.count
    }
    return count
  }
}

private func varintBytes(_ value: UInt64) -> Int { max(1, (64 - value.leadingZeroBitCount + 6) / 7) }

private func textBytes(_ text: String) -> Int { varintBytes(UInt64(text.utf8.count)) + text.utf8.count }
