import GlueCore
import GlueStore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A process that has a store open, for tests that do to it what cannot be done to the test itself.
///
/// `write DIR MESSAGES BYTES` writes batch after batch, prints the number of each when it is confirmed, and goes on until it is killed.
/// `hold DIR` opens the store, says so, and waits until its standard input ends.
/// `fill DIR MESSAGES BYTES LIMIT BALLAST` writes until that fails, says how and after how many batches, makes room, and writes on. No file may be longer than LIMIT bytes
/// (0: any length) until then, and BALLAST is a file that takes room.
@main struct Victim {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count > 2 else { fatalError("write|hold|fill DIR …") }
    let numbers = arguments.dropFirst(3).map { Int($0) ?? 0 }
    let store: SQLiteStore
    do {
      store = try SQLiteStore(directory: arguments[2])
    } catch {
      say("failed \(error.kind)")
      exit(1)
    }
    switch arguments[1] {
    case "write": try write(VictimStream(messages: numbers[0], bytes: numbers[1]), to: store)
    case "hold":
      say("open")
      while readLine() != nil {}
    case "fill":
      try fill(
        store, with: VictimStream(messages: numbers[0], bytes: numbers[1]), limit: numbers[2], ballast: arguments[6])
    default: fatalError("unknown: \(arguments[1])")
    }
  }

  private static func write(_ stream: VictimStream, to store: SQLiteStore) throws {
    var number = try stream.batches(in: store.load(now: .current())).upperBound
    while true {
      try store.write(stream.batch(number), clock: .current())
      say("\(number)")
      number += 1
    }
  }

  private static func fill(_ store: SQLiteStore, with stream: VictimStream, limit: Int, ballast: String) throws {
    signal(SIGXFSZ, SIG_IGN)  // so that the write fails instead
    if limit > 0 { limitFiles(to: rlim_t(limit)) }
    var number = 0
    do {
      while true {
        try store.write(stream.batch(number), clock: .current())
        number += 1
      }
    } catch {
      say("failed \(error.kind)")
      say("wrote \(number)")
    }
    try stream.expect(0..<number, in: store)
    do {
      try store.write(stream.batch(number), clock: .current())
      fatalError("there was room after all")
    } catch {}
    try stream.expect(0..<number, in: store)
    if limit > 0 { limitFiles(to: .max) }
    unlink(ballast)
    for _ in 0..<10 {
      try store.write(stream.batch(number), clock: .current())
      number += 1
    }
    try stream.expect(0..<number, in: store)
    say("wrote \(number)")
  }

  private static func limitFiles(to bytes: rlim_t) {
    #if canImport(Glibc)
      let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #else
      let resource = RLIMIT_FSIZE
    #endif
    var limit = rlimit()
    getrlimit(resource, &limit)
    limit.rlim_cur = min(bytes, limit.rlim_max)
    setrlimit(resource, &limit)
  }

  /// At once, and not into a buffer that dies with the process.
  private static func say(_ text: String) {
    print(text)
    fflush(nil)
  }
}
