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
      BenchCrowd.self, BenchEcho.self, BenchModel.self, BenchCore.self,
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

  /// Blocks the thread until a time of that clock.
  static func sleep(until time: UInt64) {
    while true {
      let now = now()
      guard now < time else { return }
      var left = timespec(tv_sec: Int((time - now) / 1_000_000_000), tv_nsec: Int((time - now) % 1_000_000_000))
      nanosleep(&left, nil)
    }
  }

  /// Seconds of processor time that this process has used.
  static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// The most memory that this process had so far, in bytes.
  static func peakMemoryBytes() -> Int {
    var usage = rusage()
    #if canImport(Glibc)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    // Darwin counts bytes, the others KiB.
    #if canImport(Darwin)
      return usage.ru_maxrss
    #else
      return usage.ru_maxrss * 1_024
    #endif
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
