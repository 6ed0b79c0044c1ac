import ArgumentParser
import Glue
import Logging

/// Options of every command that runs an endpoint.
struct EndpointOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Log more to stderr.")
  var verbose = false

  @Flag(name: .long, help: "Do not show events and progress on stderr.")
  var quiet = false

  /// An endpoint with the settings of the environment, and with those that the command's own options change.
  func makeEndpoint(_ change: (inout Endpoint.Configuration) -> Void = { _ in }) async throws -> Endpoint {
    var configuration = try Endpoint.Configuration.fromEnvironment()
    for variable in configuration.unknownVariables {
      Console.error("glue: \(variable) in the environment is no setting; misspelled?")
    }
    // What the log would say at its usual levels is shown as events, or as the line that ends the command.
    configuration.logger.logLevel = verbose ? .debug : .critical
    change(&configuration)
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
  let work = Task {
    let result: Result<Void, any Error>
    do {
      let stop = try await untilStopped(after: duration) {
        let progress = quiet ? nil : Task { for await event in events { Console.error("event: \(event)") } }
        defer { progress?.cancel() }
        try await body(endpoint)
      }
      result = .success(try await conclude(endpoint, stop))
    } catch {
      result = .failure(error)
    }
    // What there is to wait for `conclude` has waited for.
    await endpoint.shutdown(timeout: .zero)
    try result.get()
  }
  do {
    try await endpoint.run()
  } catch {
    // What ended the endpoint explains what then goes wrong in the body.
    work.cancel()
    _ = await work.result
    throw error
  }
  try await work.value
}

/// Runs `body`, and cancels it when `duration` is over or a signal arrives, which it then returns.
@discardableResult
func untilStopped(
  after duration: Duration? = nil, _ body: @escaping @Sendable () async throws -> Void
) async throws -> StopSignal? {
  let stop = Shared<StopSignal?>(nil)
  let work = Task { try await body() }
  let signal = Task {
    guard let first = await StopSignals.shared.first() else { return }
    stop.withLock { $0 = first }
    work.cancel()
  }
  let timer = duration.map { duration in
    Task {
      try await Task.sleep(for: duration)
      work.cancel()
    }
  }
  defer {
    signal.cancel()
    timer?.cancel()
  }
  do {
    try await withTaskCancellationHandler(operation: { try await work.value }, onCancel: { work.cancel() })
  } catch is CancellationError {}
  return stop.value
}
