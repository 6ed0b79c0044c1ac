import GlueCore
import GlueNetwork

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A thread of the system's own, with a name. Not a task: it waits for sockets most of its life, and must not take one of
/// the few threads that all tasks share.
enum IOThread {
  /// Runs a closure on a new thread, which ends with it.
  ///
  /// - Throws: ``EndpointFailure/network(_:)`` if the system has no thread for us.
  static func start(named name: String, _ body: @escaping @Sendable () -> Void) throws(EndpointFailure) {
    let work = Unmanaged.passRetained(Work(name: name, body: body))
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let code = pthread_create(&thread, nil, entry, work.toOpaque())
    guard code == 0 else {
      work.release()
      throw .network("cannot start a thread (errno \(code)); expected a process that may have one more")
    }
    #if canImport(Darwin)
      if let thread { pthread_detach(thread) }
    #else
      pthread_detach(thread)
    #endif
  }

  /// Lets time pass.
  static func sleep(_ span: Nanoseconds) {
    var span = timespec(tv_sec: Int(span.count / 1_000_000_000), tv_nsec: Int(span.count % 1_000_000_000))
    nanosleep(&span, nil)
  }

  /// How many processors the host has.
  static let processorCount = sysconf(CInt(_SC_NPROCESSORS_ONLN))

  /// Tells one thread of this process from the others, while both live. Never 0.
  static var current: UInt {
    #if canImport(Darwin)
      UInt(bitPattern: pthread_self())
    #else
      UInt(pthread_self())
    #endif
  }

  private final class Work: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }

    func run() {
      setCurrentThreadName(name)
      body()
    }
  }

  #if canImport(Darwin)
    private static let entry: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { argument in
      Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
      return nil
    }
  #else
    private static let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
      if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
      return nil
    }
  #endif
}
