/// A setting that cannot be used: its name, its value, and what is accepted.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The environment variable, or the name of the field of ``Endpoint/Configuration``.
  public let name: String
  /// The value that was refused.
  public let value: String
  /// What is accepted.
  public let expectation: String

  /// An error about the setting `name`.
  public init(name: String, value: String, expectation: String) {
    self.name = name
    self.value = value
    self.expectation = expectation
  }

  /// One line for people: `GLUE_DISCOVERY_RATE_MILLISECONDS="abc": expected an integer from 10 to 60000`.
  public var description: String { "\(name)=\"\(value)\": expected \(expectation)" }
}
