import ArgumentParser
import Glue
import Logging

/// Options of every command that runs an endpoint.
struct EndpointOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Log more to stderr.")
  var verbose = false

  @Flag(name: .long, help: "Do not show events and progress on stderr.")
  var quiet = false

  /// An endpoint with the settings of the environment.
  func makeEndpoint() async throws -> Endpoint {
    var configuration = try Endpoint.Configuration.fromEnvironment()
    for variable in configuration.unknownVariables {
      Console.error("glue: \(variable) in the environment is no setting; misspelled?")
    }
    // What the log would say at its usual levels is shown as events, or as the line that ends the command.
    configuration.logger.logLevel = verbose ? .debug : .critical
    return try await Endpoint(configuration)
  }
}

/// Runs `endpoint` while `body` works with it: until the body returns, `duration` is over, a signal arrives, or the
/// endpoint fails. Then calls `conclude` with the signal, if there was one, while the endpoint still runs if it can, and
/// shuts the endpoint down.
func run(
  _ endpoint: Endpoint, quiet: Bool, for duration: Duration? = nil,
  _ body: @escaping @Sendable (Endpoint) async throws -> Void,
  conclude: @escaping @Sendable (Endpoint, StopSignal?) async throws -> Void = { _, _ in }
) async throws {
  _ = StopSignals.shared  // from the start on, so that an early signal ends the command properly too
  let events = endpoint.events
  try await endpoint.start()
  let outcomes = await withTaskGroup(of: (fromEndpoint: Bool, result: Result<Void, any Error>).self) { group in
    group.addTask {
      do { return (true, .success(try await endpoint.run())) } catch { return (true, .failure(error)) }
    }
    group.addTask {
      let result: Result<Void, any Error>
      var stop: StopSignal?
      do {
        stop = try await untilStopped(after: duration) {
          try await withThrowingTaskGroup(of: Void.self) { inner in
            if !quiet { inner.addTask { for await event in events { Console.error("event: \(event)") } } }
            try await body(endpoint)
            inner.cancelAll()
          }
        }
        result = .success(try await conclude(endpoint, stop))
      } catch {
        result = .failure(error)
      }
      // After a signal nothing is waited for but what `conclude` has waited for.
      await endpoint.shutdown(timeout: stop == nil ? .seconds(2) : .zero)
      return (false, result)
    }
    var outcomes: [(fromEndpoint: Bool, result: Result<Void, any Error>)] = []
    for await outcome in group {
      outcomes.append(outcome)
      if case .failure = outcome.result { group.cancelAll() }
    }
    return outcomes
  }
  // What ended the endpoint explains what then went wrong in the body, so it goes first.
  for outcome in outcomes where outcome.fromEndpoint { try outcome.result.get() }
  for outcome in outcomes { try outcome.result.get() }
}

/// Runs `body`, and cancels it when `duration` is over or a signal arrives, which it then returns.
@discardableResult
func untilStopped(
  after duration: Duration? = nil, _ body: @escaping @Sendable () async throws -> Void
) async throws -> StopSignal? {
  try await withThrowingTaskGroup(of: StopSignal?.self) { group in
    group.addTask {
      do { try await body() } catch is CancellationError {}
      return nil
    }
    group.addTask { await StopSignals.shared.first() }
    if let duration {
      group.addTask {
        try? await Task.sleep(for: duration)
        return nil
      }
    }
    let stop = try await group.next() ?? nil
    group.cancelAll()
    try await group.waitForAll()
    return stop
  }
}
