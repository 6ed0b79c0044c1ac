import GlueCore

extension ReadPosition {
  /// Takes note that a message was handled, and so everything before it in its stream. The value of a topic that retains its last one is
  /// not remembered: it comes again at the next start.
  public mutating func advance(past message: Message) {
    if message.attributes.retained == nil { advance(past: message.sequence, of: message.stream) }
  }

  /// Takes note that a message was handled, and so everything before it in its stream. A retained value is not remembered.
  public mutating func advance(past message: borrowing MessageView) {
    if message.attributes.retained == nil { advance(past: message.sequence, of: message.stream) }
  }
}
