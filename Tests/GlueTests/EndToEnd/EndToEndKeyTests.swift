import Foundation
import Glue
import Testing

@Suite("EndToEnd: network keys", .serialized, .timeLimit(.minutes(5)))
struct EndToEndKeyTests {
  private static func key() -> NetworkKey { NetworkKey(base64: NetworkKey.makeBase64())! }

  private static func make(_ network: LoopbackNetwork, _ name: String, keys: [NetworkKey]) async throws -> Endpoint {
    var configuration = network.configuration(name)
    configuration.networkKeys = keys
    return try await Endpoint(configuration)
  }

  @Test("Who has the key takes part, whatever the size; who has another one is an event on both sides")
  func sealed() async throws {
    let network = LoopbackNetwork()
    let (key, other) = (Self.key(), Self.key())
    let publisher = try await Self.make(network, "publisher", keys: [key])
    let subscriber = try await Self.make(network, "subscriber", keys: [key])
    let stranger = try await Self.make(network, "stranger", keys: [other])
    // Before the first of the reports, which are rare.
    let (events, strangersEvents) = (publisher.events, stranger.events)
    for endpoint in [publisher, subscriber, stranger] { try await endpoint.start() }
    let received = Collected<Int>()
    try subscriber.subscribe(to: "t") { received.append($0.byteCount) }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    let sizes = [0, 1, 64, 1_400, 65_536, 1 << 20]
    for size in sizes { try await publication.publish([UInt8](repeating: 7, count: size)) }
    try await eventually("all messages") { received.all == sizes }
    for events in [events, strangersEvents] {
      let mismatch = try await within {
        for await case .keyMismatch(let mismatch) in events { return mismatch }
        throw CancellationError()
      }
      #expect(mismatch.kind == .otherKey)
    }
    #expect(publisher.peers.map(\.name) == ["subscriber"] && stranger.peers.isEmpty)
    for endpoint in [publisher, subscriber, stranger] { await endpoint.shutdown() }
  }

  @Test("The keys follow their file")
  func file() async throws {
    let network = LoopbackNetwork()
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("glue-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    let (old, new) = (NetworkKey.makeBase64(), NetworkKey.makeBase64())
    try Data(old.utf8).write(to: file, options: .atomic)
    var configuration = network.configuration("follower")
    configuration.networkKeyFile = file.path
    let follower = try await Endpoint(configuration)
    let events = follower.events
    try await follower.start()
    let newcomer = try await Self.make(network, "newcomer", keys: [NetworkKey(base64: new)!])
    try await newcomer.start()
    try Data("rubbish".utf8).write(to: file, options: .atomic)
    let reason = try await within {
      for await case .keyFileUnusable(let reason) in events { return reason }
      throw CancellationError()
    }
    #expect(reason.contains("line 1 is none"))
    #expect(follower.peers.isEmpty)
    try Data("\(old)\n\(new)".utf8).write(to: file, options: .atomic)
    // It can open now what the newcomer sends, but the newcomer has never had the old key.
    try Data("\(new)\n\(old)".utf8).write(to: file, options: .atomic)
    try await eventually("the peer") { follower.peers.map(\.name) == ["newcomer"] }
    #expect(throws: ConfigurationError.self) { try follower.changeNetworkKeys(to: []) }
    for endpoint in [follower, newcomer] { await endpoint.shutdown() }
  }
}
