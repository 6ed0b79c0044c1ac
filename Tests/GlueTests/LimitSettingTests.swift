import Foundation
import GlueCore
import Testing

@testable import Glue

@Suite("Limits as settings")
struct LimitSettingTests {
  private typealias Configuration = Endpoint.Configuration

  @Test("Every number out of its bounds is refused, with the field, the value and what is accepted")
  func bounds() async throws {
    try check(\.discoveryLimits, "discoveryLimits", DiscoveryLimits.bounds)
    try check(\.transport, "transport", TransportConfiguration.bounds)
    try check(\.topics, "topics", TopicsConfiguration.bounds)
    // And an endpoint with such a value is not made.
    var configuration = Configuration()
    configuration.listenInterfaces = .named(["lo"])
    configuration.topics.streamsPerPeer = 0
    let error = try await #require(throws: ConfigurationError.self) { _ = try await Endpoint(configuration) }
    #expect("\(error)" == "topics.streamsPerPeer=\"0\": expected an integer from 1 to 1000000")
  }

  private func check<Settings: BoundedSettings>(
    _ settings: WritableKeyPath<Configuration, Settings>, _ name: String, _ bounds: [SettingBounds<Settings>]
  ) throws {
    // Whatever is there has bounds.
    let fields = Mirror(reflecting: Configuration()[keyPath: settings]).children.compactMap(\.label)
    #expect(Set(bounds.map(\.name)) == Set(fields))
    for bound in bounds {
      #expect(bound.accepts(Configuration()[keyPath: settings]), "the default of \(bound.name)")
      for value in [Int.min, -1, 0, .max] {
        var configuration = Configuration()
        configuration.listenInterfaces = .named(["lo"])
        if let field = bound.field as? WritableKeyPath<Settings, Int> {
          configuration[keyPath: settings][keyPath: field] = value
          if bound.accepts(configuration[keyPath: settings]) { continue }
        } else {
          let field = try #require(bound.field as? WritableKeyPath<Settings, Nanoseconds>)
          configuration[keyPath: settings][keyPath: field] = Nanoseconds(UInt64(bitPattern: Int64(value)))
          if bound.accepts(configuration[keyPath: settings]) { continue }
        }
        let text = bound.text(configuration[keyPath: settings])
        let error = try #require(throws: ConfigurationError.self) { try configuration.checkLimits() }
        #expect(error.name == "\(name).\(bound.name)")
        #expect(error.value == text)
        #expect(error.expectation == bound.expectation)
      }
    }
  }

  private enum Part {
    case endpoint, models, quorums
  }

  /// The rows of the tables whose first column is a field of a part.
  private func rows(of part: Part) throws -> [[String]] {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../docs/limits.md")
    return try String(contentsOf: path, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }
      .map { row in row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
      .filter { row in
        let isModel = row[0].hasPrefix("`document.") || row[0].hasPrefix("`replica.")
        return (isModel ? .models : row[0].hasPrefix("`quorum.") ? .quorums : .endpoint) == part
      }
  }

  private func number(_ text: String) throws -> Int {
    let unit = text.hasSuffix("MiB") ? 1 << 20 : text.hasSuffix("KiB") ? 1 << 10 : 1
    return try #require(Int(text.filter(\.isNumber))) * unit
  }

  @Test("The documented limits of models are those that there are, with their defaults and events")
  func tableOfModels() throws {
    let settings = Model.Settings()
    var limits: [String: Int] = [:]
    func add(_ name: String, _ part: Any) {
      for case (let field?, let value as Int) in Mirror(reflecting: part).children {
        limits["`\(name).\(field)`"] = value
      }
    }
    add("document", settings.document)
    add("replica", settings.replica)
    let rows = try rows(of: .models)
    #expect(rows.map { $0[0] }.sorted() == limits.keys.sorted())
    for row in rows { #expect(try number(row[1]) == limits[row[0]], "\(row[0])") }
    let events = Set(rows.compactMap(\.last).filter { !$0.isEmpty })
    #expect(events == Set(ReplicaLimit.allCases.map { "`\($0)`" }))
  }

  @Test("The documented limits of quorum models are those that there are, with their defaults")
  func tableOfQuorums() throws {
    let settings = Quorum.Settings().configuration
    var limits: [String: Int] = [:]
    for (name, part) in [("quorum", settings as Any), ("quorum.raft", settings.raft as Any)] {
      for case (let field?, let value as Int) in Mirror(reflecting: part).children {
        limits["`\(name).\(field)`"] = value
      }
    }
    let rows = try rows(of: .quorums)
    #expect(rows.map { $0[0] }.sorted() == limits.keys.sorted())
    for row in rows { #expect(try number(row[1]) == limits[row[0]], "\(row[0])") }
  }

  @Test("The documented limits are those that there are, with their defaults and counters")
  func table() throws {
    let rows = try rows(of: .endpoint)
    let defaults = Configuration()
    var limits = [
      "`InterfaceSelection.maximumCount`": InterfaceSelection.maximumCount,
      "`Configuration.maximumNetworkKeys`": Configuration.maximumNetworkKeys,
      "`slowCallbackThreshold`": Int(defaults.slowCallbackThreshold / .milliseconds(1)),
    ]
    if case .block(let bytes) = Buffering.default { limits["`Buffering` of a subscription"] = bytes }
    for case (let name?, let value as Int) in Mirror(reflecting: defaults).children { limits["`\(name)`"] = value }
    func add<Settings: BoundedSettings>(_ name: String, _ settings: Settings) {
      for bound in Settings.bounds {
        guard let field = bound.field as? WritableKeyPath<Settings, Int> else { continue }
        limits["`\(name).\(bound.name)`"] = settings[keyPath: field]
      }
    }
    add("discoveryLimits", defaults.discoveryLimits)
    add("transport", defaults.transport)
    add("topics", defaults.topics)
    #expect(rows.map { $0[0] }.sorted() == limits.keys.sorted())

    let counters = Limit.allCases.map(\.counterName) + LocalCounters.Name.allCases.map(\.rawValue)
    for row in rows {
      #expect(try number(row[1]) == limits[row[0]], "\(row[0])")
      let counter = try #require(row.last)
      #expect(counter.isEmpty || counters.contains { counter == "`\($0)`" }, "\(row[0])")
    }
    for limit in Limit.allCases {
      let row = rows.first { $0[0].hasSuffix(".\(limit.name)`") }
      #expect(row?.last == "`\(limit.counterName)`", "\(limit.name)")
    }
  }
}
