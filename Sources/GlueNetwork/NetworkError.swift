import GlueAddress

/// A setting or operation of the network that failed: what was tried, on what, what the system said, and what would do.
///
/// Errors of single outgoing datagrams are no `NetworkError`; see ``SendResult``.
public struct NetworkError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was tried, for example `bind` or `join 239.1.1.1`.
  public let operation: String
  /// The address or interface it was tried on, as people write it.
  public let subject: String
  /// What the system said; `nil` if the request never reached it.
  public let code: SystemErrorCode?
  /// What is expected instead.
  public let expectation: String

  /// An error of `operation` on `subject`.
  public init(operation: String, subject: String, code: SystemErrorCode?, expectation: String) {
    self.operation = operation
    self.subject = subject
    self.code = code
    self.expectation = expectation
  }

  /// One line for people: `cannot bind 10.9.9.9:80: …; expected …`.
  public var description: String { "\(reason); expected \(expectation)" }

  /// The first half of ``description``, without what is expected: `cannot bind 10.9.9.9:80: …`.
  public var reason: String {
    let cause = code.map { ": \($0)" } ?? ""
    return "cannot \(operation) \(subject)\(cause)"
  }
}

/// Throws if the result of a system call is a negative errno; gives it back otherwise.
@discardableResult
func require(
  _ result: CInt, _ operation: @autoclosure () -> String, _ subject: @autoclosure () -> String,
  expected expectation: @autoclosure () -> String
) throws(NetworkError) -> CInt {
  guard result < 0 else { return result }
  throw NetworkError(
    operation: operation(), subject: subject(), code: SystemErrorCode(rawValue: -result), expectation: expectation())
}
