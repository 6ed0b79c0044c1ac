/// Text that should have been an address, and is not.
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The text that was refused.
  public let text: String
  /// What is wrong with it, and what is expected instead.
  public let reason: String

  /// An error about `text`.
  public init(text: String, reason: String) {
    self.text = text
    self.reason = reason
  }

  /// One line for people, for example `"1.2.3" is not an address: expected four numbers …`.
  public var description: String { "\"\(text.prefix(100))\" is not an address: \(reason)" }
}
