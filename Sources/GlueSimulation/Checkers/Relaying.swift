import GlueCore

/// Datagrams by way of others take a bounded number of steps, and are sent only where the two ends do not hear each other.
package struct Relaying {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// A datagram on its way between two endpoints.
  package struct Key: Hashable {
    var origin: RelayedEndpoint
    var destination: RelayedEndpoint
    var digest: UInt64

    /// What a RELAY carries.
    package init(_ header: RelayHeader, digest: UInt64) {
      origin = header.origin
      destination = header.destination
      self.digest = digest
    }
  }

  private struct Track {
    var host: Int
    var sentAt: Timestamp
    var hopsLeft: UInt8
  }
  private var tracks: [Key: Track] = [:]
  /// Datagrams that have been under way for longer are forgotten as soon as there are many.
  private static let memory = Nanoseconds.seconds(20)
  private static let manyTracks = 16_384

  /// Nothing sent yet.
  package init() {}

  /// Who sent a datagram first, and when.
  package func original(of key: Key) -> (host: Int, sentAt: Timestamp)? {
    tracks[key].map { ($0.host, $0.sentAt) }
  }

  /// A life sent a datagram of its own by way of others. `isNeedless`: nothing has been wrong between the two ends for a while.
  package mutating func sent(
    _ key: Key, hopsLeft: UInt8, by life: Life, host: Int, isNeedless: Bool, at now: Timestamp
  ) -> String? {
    checks += 1
    if tracks.count > Self.manyTracks { tracks = tracks.filter { now.since($0.value.sentAt) < Self.memory } }
    tracks[key] = Track(host: host, sentAt: now, hopsLeft: hopsLeft)
    guard isNeedless else { return nil }
    return
      "life \(life) sends to endpoint \(key.destination.id) by way of others, although nothing is wrong between the two"
  }

  /// A life passed a datagram on.
  package mutating func passedOn(_ key: Key, hopsLeft: UInt8, by life: Life) -> String? {
    checks += 1
    guard let before = tracks[key]?.hopsLeft else { return nil }
    tracks[key]!.hopsLeft = hopsLeft
    guard hopsLeft >= before else { return nil }
    return "life \(life) passed on a datagram with \(hopsLeft) hops left, which had \(before) before"
  }
}
