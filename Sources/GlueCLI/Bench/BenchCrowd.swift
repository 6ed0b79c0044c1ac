import ArgumentParser
import Foundation
import Glue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Other endpoints of `glue bench throughput --peers`, all in one process: they publish and subscribe to nothing. Tells when they
/// know each other.
struct BenchCrowd: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "crowd", shouldDisplay: false)

  @Option(transform: parsePositive)
  var endpoints: Int

  func run() async throws {
    raiseFileLimit()
    var started: [Endpoint] = []
    for number in 0..<endpoints {
      var configuration = try Endpoint.Configuration.fromEnvironment()
      configuration.endpointName = "bench-crowd-\(number)-\(ProcessInfo.processInfo.processIdentifier)"
      // What they do among themselves is not what is measured, and takes from the processors what the measured ones need. Announcing
      // once a second a hundred endpoints on one host would keep half a processor busy, and searching for datagrams of 64 KiB overflows
      // their sockets.
      configuration.answerPollingLimit = .zero
      configuration.discoveryInterval = .seconds(20)
      configuration.transport.maximumDatagramBytes = 1_472
      let endpoint = try await Endpoint(configuration)
      try await endpoint.start()
      // One after the other: hundreds that meet at once on one host would take all its processors for minutes.
      try await waitForPeers(started.count, of: endpoint)
      started.append(endpoint)
    }
    for endpoint in started { try await waitForPeers(endpoints - 1, of: endpoint) }
    Console.line("met")
    // Nobody is left who would want a goodbye.
    await standardInputClosed()
  }
}

/// Lets this process have as many files as a thousand endpoints need, five each, if the system allows it.
private func raiseFileLimit() {
  var limit = rlimit()
  #if canImport(Glibc)
    let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #else
    let files = RLIMIT_NOFILE
  #endif
  guard getrlimit(files, &limit) == 0 else { return }
  limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 8_192))
  // Whoever has too few all the same is told so by the endpoint that does not start.
  setrlimit(files, &limit)
}

/// Waits until an endpoint knows so many others.
func waitForPeers(_ count: Int, of endpoint: Endpoint) async throws {
  let end = ContinuousClock.now + .seconds(60)
  while endpoint.peers.count < count {
    guard ContinuousClock.now < end else {
      throw CommandFailure("only \(endpoint.peers.count) of \(count) peers were met within a minute")
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}
