import CRawSockets
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// One way to move datagrams.
protocol Way {
  var name: String { get }
  /// The times of round trips in nanoseconds.
  func roundTrips(size: Int, nanoseconds: UInt64) throws -> [UInt32]
  func oneWay(size: Int, nanoseconds: UInt64, offload: Bool) throws -> Rate
}

struct Rate {
  var sent: Int
  var received: Int
}

/// Blocking sockets in C: the limit.
struct RawWay: Way {
  let name = "C, blocking"

  func roundTrips(size: Int, nanoseconds: UInt64) -> [UInt32] {
    [UInt32](unsafeUninitializedCapacity: 1 << 18) { buffer, count in
      count = Int(raw_round_trips(CInt(size), nanoseconds, buffer.baseAddress, CInt(buffer.count)))
    }
  }

  func oneWay(size: Int, nanoseconds: UInt64, offload: Bool) -> Rate {
    let rate = raw_one_way(CInt(size), nanoseconds, offload)
    return Rate(sent: Int(rate.sent), received: Int(rate.received))
  }
}

/// A count that one thread writes and another reads after it has ended.
final class Total: @unchecked Sendable {
  var datagrams = 0
}

/// A thread that runs until it is stopped.
final class Worker {
  fileprivate final class State: Sendable {
    let shouldStop = Atomic<Bool>(false)
    let body: @Sendable (borrowing Atomic<Bool>) throws -> Void
    init(_ body: @escaping @Sendable (borrowing Atomic<Bool>) throws -> Void) { self.body = body }
  }

  fileprivate let state: State
  #if canImport(Darwin)
    private var handle: pthread_t?
  #else
    private var handle = pthread_t()
  #endif

  fileprivate init(_ state: State) {
    self.state = state
    pthread_create(
      &handle, nil,
      { context in
        let context: UnsafeMutableRawPointer? = context
        let state = Unmanaged<State>.fromOpaque(context!).takeRetainedValue()
        do { try state.body(state.shouldStop) } catch { fatalError("\(error)") }
        return nil
      }, Unmanaged.passRetained(state).toOpaque())
  }

  func stop() {
    state.shouldStop.store(true, ordering: .relaxed)
    #if canImport(Darwin)
      pthread_join(handle!, nil)
    #else
      pthread_join(handle, nil)
    #endif
  }
}

func onThread(_ body: @escaping @Sendable (borrowing Atomic<Bool>) throws -> Void) -> Worker {
  Worker(Worker.State(body))
}

/// The processor time that this process has used, in nanoseconds: less noisy than rates when others use the machine too.
func processorNanoseconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

func ratio(_ values: [Double], _ base: [Double]) -> String { text(median(zip(values, base).map { $0 / $1 }), 2) }

func text(_ value: Double, _ digits: Int = 0) -> String {
  let scale = pow(10.0, Double(digits))
  let rounded = (value * scale).rounded() / scale
  return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
}

@main
struct Main {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst().compactMap(Double.init)
    let rounds = Int(arguments.first ?? 5)
    let nanoseconds = UInt64((arguments.dropFirst().first ?? 1) * 1e9)
    // A name given last selects one way, for profilers; ratios are then to itself.
    let all: [any Way] = [RawWay(), GlueWay(), NIOWay()]
    let selected = all.filter { $0.name == CommandLine.arguments.last }
    let ways = selected.isEmpty ? all : selected
    print(
      "\(rounds) rounds of \(text(Double(nanoseconds) / 1e9, 1)) s; medians, and medians of each round's ratio to C\n")

    var half: [[Double]] = ways.map { _ in [] }
    var tail: [[Double]] = ways.map { _ in [] }
    var cost: [[Double]] = ways.map { _ in [] }
    for _ in 0..<rounds {
      for (index, way) in ways.enumerated() {
        let before = processorNanoseconds()
        var samples = try way.roundTrips(size: 64, nanoseconds: nanoseconds)
        cost[index].append((processorNanoseconds() - before) / 1_000 / Double(samples.count))
        samples.sort()
        half[index].append(Double(samples[samples.count / 2]) / 1_000)
        tail[index].append(Double(samples[samples.count * 99 / 100]) / 1_000)
      }
    }
    print(
      "| round trip, 64 B | p50 µs | p99 µs | CPU µs | p50 to C | p99 to C | CPU to C |\n|---|---|---|---|---|---|---|")
    for (index, way) in ways.enumerated() {
      print(
        "| \(way.name) | \(text(median(half[index]), 1)) | \(text(median(tail[index]), 1)) "
          + "| \(text(median(cost[index]), 1)) | \(ratio(half[index], half[0])) | \(ratio(tail[index], tail[0])) "
          + "| \(ratio(cost[index], cost[0])) |")
    }

    print(
      "\n| one way | size | GSO/GRO | received, k datagrams/s | MB/s | delivered | CPU ns | rate to C | CPU to C |\n|---|---|---|---|---|---|---|---|---|"
    )
    for (size, offload) in [(64, false), (64, true), (1_472, false), (1_472, true), (65_000, false), (65_000, true)] {
      var rates: [[Double]] = ways.map { _ in [] }
      var delivered: [[Double]] = ways.map { _ in [] }
      var cost: [[Double]] = ways.map { _ in [] }
      for _ in 0..<rounds {
        for (index, way) in ways.enumerated() {
          let before = processorNanoseconds()
          let rate = try way.oneWay(size: size, nanoseconds: nanoseconds, offload: offload)
          cost[index].append((processorNanoseconds() - before) / Double(max(1, rate.received)))
          rates[index].append(Double(rate.received) / (Double(nanoseconds) / 1e9))
          delivered[index].append(100 * Double(rate.received) / Double(max(1, rate.sent)))
        }
      }
      for (index, way) in ways.enumerated() {
        let rate = median(rates[index])
        print(
          "| \(way.name) | \(size) | \(offload ? "yes" : "no") | \(text(rate / 1_000, 1)) "
            + "| \(text(rate * Double(size) / 1e6)) | \(text(median(delivered[index]))) % "
            + "| \(text(median(cost[index]))) | \(ratio(rates[index], rates[0])) | \(ratio(cost[index], cost[0])) |")
      }
    }
  }
}
