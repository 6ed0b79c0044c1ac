import Glue
import Synchronization
import Testing

/// Endpoints on the loopback interface that no other test sees: each network has a number and a port of its own.
struct LoopbackNetwork {
  let networkID = UInt64.random(in: 1_000...UInt64.max)
  let target: SocketAddress

  init() {
    // Below the ports that systems give out by themselves.
    target = SocketAddress(ip: IPAddress(v4: 0xEFC0_8964), port: UInt16.random(in: 20_000...32_000))
  }

  func configuration(_ name: String? = nil, id: UInt64? = nil) -> Endpoint.Configuration {
    var configuration = Endpoint.Configuration()
    configuration.networkID = networkID
    configuration.endpointID = id.map { EndpointID($0) }
    configuration.endpointName = name
    configuration.listenInterfaces = .named(["lo"])
    configuration.discoveryTarget = .address(target)
    configuration.discoveryInterval = .milliseconds(200)
    return configuration
  }

  func start(_ name: String? = nil, id: UInt64? = nil) async throws -> Endpoint {
    let endpoint = try await Endpoint(configuration(name, id: id))
    try await endpoint.start()
    return endpoint
  }
}

/// What a test waited for did not happen.
struct Timeout: Error, CustomStringConvertible {
  let description: String
}

/// Runs a closure, and throws if it takes longer than tests allow anything on loopback. Where tests wait in turn for a thread, the closure
/// does so too: so the time is waited for in many steps, each of which needs a turn as well.
func within<R: Sendable>(
  _ limit: Duration = .seconds(10), _ what: String = "the operation", _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
  try await withThrowingTaskGroup(of: R.self) { group in
    group.addTask { try await body() }
    group.addTask {
      for _ in 0..<200 { try await Task.sleep(for: limit / 200) }
      throw Timeout(description: "\(what) took longer than \(limit)")
    }
    defer { group.cancelAll() }
    guard let result = try await group.next() else { throw CancellationError() }
    return result
  }
}

/// Waits until a condition holds. Where tests wait in turn for a thread, what is waited for does so too: time alone is no proof, so
/// it also has to have been looked for often.
func eventually(
  _ what: String, limit: Duration = .seconds(10), _ condition: @escaping @Sendable () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + limit
  var looks = 0
  while try await !condition() {
    looks += 1
    guard looks < 500 || ContinuousClock.now < deadline else {
      throw Timeout(description: "\(what): not within \(limit)")
    }
    try await Task.sleep(for: .milliseconds(2))
  }
}

/// Values that callbacks leave for a test.
final class Collected<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])

  var all: [Value] { values.withLock { $0 } }
  var count: Int { values.withLock { $0.count } }
  func append(_ value: Value) { values.withLock { $0.append(value) } }
}
