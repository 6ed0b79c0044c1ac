import Foundation
import Testing

/// Runs each test on threads of its own, beside those that tests share.
///
/// A simulation computes for seconds without a pause. On the shared threads, of which there is one for each core, it would hold up
/// every test that waits for something, until what was to happen within ten seconds has not even begun.
struct ApartFromOthers: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(Threads.shared) { try await function() }
  }

  private final class Threads: TaskExecutor {
    static let shared = Threads()

    private let queue = OperationQueue()

    init() { queue.maxConcurrentOperationCount = ProcessInfo.processInfo.activeProcessorCount }

    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      queue.addOperation { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
  }
}

extension Trait where Self == ApartFromOthers {
  /// Tests that compute for long.
  static var apart: Self { Self() }
}
