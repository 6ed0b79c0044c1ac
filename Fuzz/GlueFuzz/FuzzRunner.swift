import ArgumentParser
import Foundation

/// Runs a target until the time is over or something fails.
///
/// Before each execution the input is put into a file that is mapped into memory, so that it survives whatever happens to
/// the process: a trap, the out-of-memory killer, an impatient user. The file goes away if nothing fails.
struct FuzzRunner<Target: FuzzTarget> {
  var target: Target
  let options: RunOptions

  mutating func run() throws {
    if let path = options.replay { return try replay(path) }
    let kept = try KeptInput(directory: options.artifacts, name: "\(Target.name)-\(options.seed).bin")
    announceTraps(of: Target.name, seed: options.seed, kept: kept)
    print("\(Target.name): seed \(options.seed), input kept in \(kept.path)")

    let clock = ContinuousClock()
    let start = clock.now
    let deadline = start + .seconds(options.seconds)
    var input: [UInt8] = []
    var iteration = options.from
    while options.count.map({ iteration - options.from < $0 }) ?? true {
      if options.count == nil, iteration % 256 == 0, clock.now >= deadline { break }
      var generator = SplitMix64(seed: options.seed, iteration: iteration)
      input.removeAll(keepingCapacity: true)
      target.makeInput(&input, using: &generator)
      kept.keep(input, iteration: iteration)
      if let violation = input.withUnsafeBytes({ target.execute($0) }) {
        print("\(Target.name): seed \(options.seed), iteration \(iteration): \(violation)")
        print("input in \(kept.path)")
        throw ExitCode.failure
      }
      iteration += 1
    }

    kept.remove()
    let seconds = (clock.now - start) / .seconds(1)
    let executions = iteration - options.from
    let rate = Int(Double(executions) / max(seconds, 0.001))
    print("\(Target.name): \(executions) executions, 0 failures, seed \(options.seed), \(rate)/s")
  }

  private mutating func replay(_ path: String) throws {
    let input = try KeptInput.read(path)
    if let violation = input.withUnsafeBytes({ target.execute($0) }) {
      print("\(Target.name): \(path): \(violation)")
      throw ExitCode.failure
    }
    print("\(Target.name): \(path): no failure")
  }
}

/// A mapped file: magic, iteration and length in 8 bytes each, and the input.
final class KeptInput {
  private static let magic: UInt64 = 0x5A5A_5546_4555_4C47  // "GLUEFUZZ"
  private static let headerBytes = 24
  private static let maximumBytes = 1 << 20

  let path: String
  private let map: UnsafeMutableRawBufferPointer

  init(directory: String, name: String) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    path = "\(directory)/\(name)"
    let size = Self.headerBytes + Self.maximumBytes
    let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o644)
    guard file >= 0, ftruncate(file, off_t(size)) == 0,
      let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), address != MAP_FAILED
    else { throw ValidationError("cannot map \(path): \(String(cString: strerror(errno)))") }
    close(file)
    map = UnsafeMutableRawBufferPointer(start: address, count: size)
    map.storeBytes(of: Self.magic, as: UInt64.self)
  }

  /// Where the iteration's number stands, for the handler of traps.
  var iterationAddress: UnsafePointer<UInt64> {
    UnsafePointer((map.baseAddress! + 8).assumingMemoryBound(to: UInt64.self))
  }

  func keep(_ input: [UInt8], iteration: UInt64) {
    let kept = input.prefix(Self.maximumBytes)
    map.storeBytes(of: iteration, toByteOffset: 8, as: UInt64.self)
    map.storeBytes(of: UInt64(kept.count), toByteOffset: 16, as: UInt64.self)
    kept.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: map[Self.headerBytes...]).copyMemory(from: $0) }
  }

  func remove() { unlink(path) }

  /// The input of a kept file; of any other file, all of it.
  static func read(_ path: String) throws -> [UInt8] {
    let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    guard bytes.count >= headerBytes else { return bytes }
    let (magic, length) = bytes.withUnsafeBytes {
      ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    }
    guard magic == Self.magic else { return bytes }
    return Array(bytes.dropFirst(headerBytes).prefix(Int(clamping: length)))
  }
}

// MARK: Traps

// Written before the first execution, read by the handler only.
nonisolated(unsafe) private var trapMessage: [UInt8] = []
nonisolated(unsafe) private var trapIteration: UnsafePointer<UInt64>?

/// Has a trap print seed and iteration before the process ends by it.
private func announceTraps(of target: String, seed: UInt64, kept: KeptInput) {
  trapMessage = Array("\(target): TRAP, seed \(seed), input in \(kept.path), iteration ".utf8)
  trapIteration = kept.iterationAddress
  for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE] {
    signal(number) { number in
      // Only what is safe in a handler: no allocation, no Swift strings.
      trapMessage.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress!, $0.count) }
      var rest = trapIteration?.pointee ?? 0
      withUnsafeTemporaryAllocation(byteCount: 21, alignment: 1) { digits in
        var start = 20
        digits[start] = UInt8(ascii: "\n")
        repeat {
          start -= 1
          digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
          rest /= 10
        } while rest > 0
        _ = write(STDERR_FILENO, digits.baseAddress! + start, 21 - start)
      }
      signal(number, SIG_DFL)
      raise(number)
    }
  }
}
