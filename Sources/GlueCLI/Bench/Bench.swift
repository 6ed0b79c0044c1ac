import ArgumentParser
import Glue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// `glue bench`: measures on loopback, with separate processes.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure throughput and latency on loopback.",
    discussion: "Only ratios taken in one run on one machine say something: see docs/benchmarks.md.",
    subcommands: [
      BenchThroughput.self, BenchLatency.self, BenchStuck.self, BenchSubscriber.self, BenchPublisher.self,
      BenchEcho.self, BenchModel.self,
    ])
}

/// Clocks of this process.
enum Clocks {
  /// Nanoseconds on the system's monotonic clock.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Seconds of processor time that this process has used.
  static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// What an endpoint has sent, headers of IPv4 and UDP included.
func wireBytes(of endpoint: Endpoint) -> UInt64 {
  var bytes: UInt64 = 0
  for counter in endpoint.counters {
    if counter.name == "bytes_sent" { bytes += counter.value }
    if counter.name == "datagrams_sent" { bytes += counter.value * 28 }
  }
  return bytes
}

/// Waits until standard input is closed: the sign for a benchmark's process to report and end.
func standardInputClosed() async {
  await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
    let thread = { @Sendable in
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) > 0 {}
      continuation.resume()
    }
    detachThread(thread)
  }
}
