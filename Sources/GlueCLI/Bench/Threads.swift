import Foundation

/// Runs a closure that blocks on a thread of its own, so that it holds up no task.
func detachThread(_ body: @escaping @Sendable () -> Void) {
  Thread.detachNewThread(body)
}
