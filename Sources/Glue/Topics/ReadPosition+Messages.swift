import GlueCore

extension ReadPosition {
  /// Takes note that a message was handled, and so everything before it in its stream.
  public mutating func advance(past message: Message) { advance(past: message.sequence, of: message.stream) }

  /// Takes note that a message was handled, and so everything before it in its stream.
  public mutating func advance(past message: borrowing MessageView) {
    advance(past: message.sequence, of: message.stream)
  }
}
