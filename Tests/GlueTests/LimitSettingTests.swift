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

  @Test("The documented limits are those that there are, with their defaults and counters")
  func table() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../docs/limits.md")
    let rows = try String(contentsOf: path, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }
      .map { row in row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
    func check<Settings: BoundedSettings>(_ name: String, _ settings: Settings) throws {
      for bound in Settings.bounds where bound.field is WritableKeyPath<Settings, Int> {
        let row = try #require(rows.first { $0[0] == "`\(name).\(bound.name)`" }, "\(name).\(bound.name)")
        let value = try #require(Int(row[1].filter(\.isNumber)))
        let unit = row[1].hasSuffix("MiB") ? 1 << 20 : 1
        #expect("\(value * unit)" == bound.text(settings), "\(bound.name)")
        if let limit = Limit.allCases.first(where: { $0.name == bound.name }) {
          #expect(row.last == "`\(limit.counterName)`")
        }
      }
    }
    try check("discoveryLimits", Configuration().discoveryLimits)
    try check("transport", Configuration().transport)
    try check("topics", Configuration().topics)
  }
}
