import GlueCore
import Testing

@testable import GlueModel

/// Sets of live dots that differ, until both know how.
@Suite(.apart) struct ReconciliationSetTests {
  typealias Differences = ReconciliationSet.Differences

  struct Result {
    var differences: Differences
    var rounds: Int
    var bytes: Int
  }

  /// Lets a client find out how its set differs from a server's.
  func reconcile(_ client: [LiveDot], _ server: [LiveDot], salt: UInt64 = 7) throws -> Result {
    var server = ReconciliationSet(server, salt: salt)
    var client = ReconciliationSet(client, salt: salt)
    var message = server.opening()
    var result = Result(differences: Differences(), rounds: 0, bytes: 0)
    func carry(_ ranges: [ReconciliationRange]) throws -> [ReconciliationRange] {
      let bytes = ReconciliationRange.encode(ranges)
      result.bytes += bytes.count
      return try bytes.withUnsafeBytes { buffer in
        var reader = WireReader(buffer)
        let decoded = try ReconciliationRange.decode(&reader)
        #expect(decoded == ranges && reader.isAtEnd)
        return decoded
      }
    }
    while !message.isEmpty {
      result.rounds += 1
      try #require(result.rounds < ReplicaConfiguration.reconciliationRounds)
      message = client.respond(to: try carry(message), asClient: true)
      if !message.isEmpty { message = server.respond(to: try carry(message), asClient: false) }
    }
    result.differences = client.differences
    return result
  }

  func live(_ replica: UInt64, _ counters: some Sequence<UInt64>, folds: UInt32 = 0) -> [LiveDot] {
    counters.map { LiveDot(dot: Dot(ReplicaID(endpoint: EndpointID(replica), number: replica * 77), $0), folds: folds) }
  }

  @Test func equalSetsNeedOneMessage() throws {
    let set = live(1, 1...10_000)
    let result = try reconcile(set, set)
    #expect(result.differences == Differences() && result.rounds == 1 && result.bytes < 400)
    #expect(try reconcile([], []).differences == Differences())
  }

  @Test func oneSideMayBeEmpty() throws {
    let set = live(1, 1...1_000)
    #expect(try reconcile(set, []).differences.here == set.map(\.dot))
    #expect(try reconcile([], set).differences.there == set.map(\.dot))
  }

  @Test func foldsAreDifferences() throws {
    let result = try reconcile(
      live(1, 1...100) + live(2, 1...1, folds: 3) + live(3, 1...1),
      live(1, 1...100) + live(2, 1...1, folds: 1) + live(3, 1...1, folds: 9))
    #expect(result.differences.newerHere == live(2, 1...1).map(\.dot))
    #expect(result.differences.newerThere == live(3, 1...1).map(\.dot))
    #expect(result.differences.here.isEmpty && result.differences.there.isEmpty)
  }

  @Test func findsExactlyTheDifferencesOfRandomSets() throws {
    for seed in 0..<400 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let all = (1...UInt64.random(in: 1...6, using: &generator)).flatMap { replica in
        live(replica, 1...UInt64.random(in: 1...400, using: &generator))
      }
      let loss = UInt64.random(in: 0...20, using: &generator)
      func part() -> [LiveDot] { all.filter { _ in UInt64.random(in: 0..<20, using: &generator) >= loss / 2 } }
      let (client, server) = (part(), part())
      let found = try reconcile(client, server, salt: seed).differences
      #expect(found.here.sorted() == Set(client).subtracting(server).map(\.dot).sorted(), "seed \(seed)")
      #expect(found.there.sorted() == Set(server).subtracting(client).map(\.dot).sorted(), "seed \(seed)")
      #expect(found.newerHere.isEmpty && found.newerThere.isEmpty)
    }
  }

  @Test func aHundredDifferencesOfAHundredThousandTakeSomeTwentyKilobytes() throws {
    let all = (1...10).flatMap { live($0, 1...10_000) }
    let client = all.enumerated().filter { $0.offset % 2_000 != 17 }.map(\.element)
    let server = all.enumerated().filter { $0.offset % 2_000 != 1_033 }.map(\.element)
    let result = try reconcile(client, server)
    #expect(result.differences.here.count == 50 && result.differences.there.count == 50)
    #expect(result.rounds <= 8)
    #expect(result.bytes < 22_000)
    print("100 differences of 100,000: \(result.bytes) bytes, \(result.rounds) round trips")
  }

  @Test func rangesThatMakeNoSenseDoNoHarm() {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<300 {
      var set = ReconciliationSet(live(2, 1...200), salt: 1)
      let ranges = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        ReconciliationRange(
          upper: Bool.random(using: &generator)
            ? Dot(
              ReplicaID(endpoint: EndpointID(.random(in: 1...3, using: &generator)), number: 154),
              .random(in: 1...300, using: &generator))
            : nil,
          content: [
            .equal, .fingerprint(.random(in: 0...300, using: &generator)),
            .members(live(2, 1...UInt64.random(in: 1...300, using: &generator))),
          ].randomElement(using: &generator)!)
      }
      _ = set.respond(to: ranges, asClient: Bool.random(using: &generator))
    }
  }

  @Test func hostileBytesAreRefused() {
    var generator = SeededGenerator(seed: 1)
    let valid = ReconciliationRange.encode(
      ReconciliationSet(live(1, 1...500), salt: 1).opening() + [
        ReconciliationRange(upper: nil, content: .members(live(9, 1...9) + live(10, 3...4, folds: 1)))
      ])
    for round in 0..<20_000 {
      var bytes = valid
      if round % 2 == 0 {
        for _ in 0...Int.random(in: 0..<4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
      } else {
        bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
        }
      }
      bytes.withUnsafeBytes { buffer in
        var reader = WireReader(buffer)
        _ = try? ReconciliationRange.decode(&reader)
      }
    }
  }
}
