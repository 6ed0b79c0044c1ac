import ServiceLifecycle

extension Endpoint: Service {
  /// Runs the endpoint: starts it unless it was started before, and returns when it is shut down: by
  /// ``shutdown(timeout:)``, by the service group's graceful shutdown, or when the task is cancelled. In the last two
  /// cases it leaves properly first.
  ///
  /// - Throws: ``EndpointFailure/clash(_:)`` if another endpoint holds the ID or name; otherwise as ``start()``.
  public func run() async throws {
    if !driver.isStarted { try await start() }
    let outcome = await withGracefulShutdownHandler {
      await driver.wait(for: .leaving) { $0.isLeaving }
    } onGracefulShutdown: { [driver] in
      driver.requestLeaving()
    }
    // A cancelled task still says goodbye; nobody is left to read what would be acknowledged.
    await shutdown(timeout: outcome == .cancelled ? .zero : .seconds(2))
    if let failure { throw failure }
  }
}

/// Makes and starts an endpoint, calls a closure with it, and shuts it down again, also when the closure throws.
///
/// - Parameters:
///   - configuration: The settings; `nil` reads them from the environment.
///   - body: What to do with the endpoint.
/// - Returns: What `body` returns.
/// - Throws: ``ConfigurationError``, ``EndpointFailure``, or what `body` throws.
public func withEndpoint<R>(
  _ configuration: Endpoint.Configuration? = nil, _ body: (Endpoint) async throws -> R
) async throws -> R {
  let endpoint = try await Endpoint(configuration ?? .fromEnvironment())
  try await endpoint.start()
  do {
    let result = try await body(endpoint)
    await endpoint.shutdown()
    if let failure = endpoint.failure { throw failure }
    return result
  } catch {
    await endpoint.shutdown()
    throw error
  }
}
