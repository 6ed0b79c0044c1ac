import GlueCore

/// Why a call to an endpoint failed. Each has a one-line ``description``.
public enum EndpointFailure: Error, Hashable, Sendable {
  /// Another endpoint holds this one's ID or name; this one has stopped.
  case clash(ClashNotice)
  /// The endpoint was started before.
  case alreadyStarted
  /// The endpoint was not started, or is shut down.
  case stopped
  /// A topic name or filter that breaks the rules.
  case invalidTopic(String, reason: String)
  /// The message exceeds ``TopicsConfiguration/maximumMessageBytes``.
  case messageTooLarge(bytes: Int, limit: Int)
  /// There is no such peer now: its name, or its ID.
  case unknownPeer(String)
  /// A limit of the configuration: its name and value.
  case limitReached(name: String, limit: Int)
  /// This endpoint publishes the topic already, with another type, reliability or history.
  case conflictingPublication(topic: String)
  /// The publication or subscription was closed.
  case closed
  /// The direct messages have a reader already.
  case alreadyReceiving
  /// What was waited for did not happen in time.
  case timedOut(waitingFor: String)
  /// Fewer stores than were asked for have the message, when the time was up or the publication was over.
  case notStored(sequence: UInt64, stores: Int, wanted: Int)
  /// Fewer others than were asked for hold the value, when the time was up or the publication was over; or its topic does not retain values.
  case notHeld(sequence: UInt64, holders: Int, wanted: Int)
  /// Another publisher's value of the topic is higher than this one, so that nobody holds this one any more.
  case superseded(sequence: UInt64)
  /// The topic does not retain its last value, so there is none to clear.
  case notRetained(topic: String)
  /// The topic retains a value that is dated at the end of time, so that none can be higher: its publisher's clock is wrong, or lies.
  case finalValue(topic: String)
  /// The endpoint has this model open already: it has one replica of each.
  case modelIsOpen(String)
  /// The store could not be read.
  case store(String)
  /// A value could not be made a payload.
  case notEncodable(reason: String)
  /// Sockets could not be opened or set up.
  case network(String)

  init(_ error: EndpointError) {
    self =
      switch error {
      case .invalidTopic(let topic, let reason): .invalidTopic(topic, reason: reason)
      case .messageTooLarge(let bytes, let limit): .messageTooLarge(bytes: bytes, limit: limit)
      case .unknownHandle: .closed
      case .unknownPeer(let name): .unknownPeer(name)
      case .limitReached(let name, let limit): .limitReached(name: name, limit: limit)
      case .notRetained(let topic): .notRetained(topic: topic)
      case .finalValue(let topic): .finalValue(topic: topic)
      case .conflictingPublication(let topic): .conflictingPublication(topic: topic)
      case .stopped: .stopped
      }
  }
}

extension EndpointFailure: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .clash(let notice): "\(notice); give this endpoint another one"
    case .alreadyStarted: "the endpoint was started before; make a new one"
    case .stopped: "the endpoint is not running"
    case .invalidTopic(let topic, let reason): "\"\(topic)\" is no valid topic or filter: \(reason)"
    case .messageTooLarge(let bytes, let limit): "a message of \(bytes) bytes; at most \(limit) are allowed"
    case .unknownPeer(let name): "no peer \(name) is known now"
    case .limitReached(let name, let limit): "the limit \(name) of \(limit) is reached"
    case .conflictingPublication(let topic): "\(topic) is published already, with another type, reliability or history"
    case .closed: "the publication or subscription was closed"
    case .alreadyReceiving: "direct messages have a reader already"
    case .timedOut(let what): "timed out waiting for \(what)"
    case .notStored(let sequence, let stores, let wanted):
      "message \(sequence) is stored by \(stores) of \(wanted) stores"
    case .notHeld(let sequence, let holders, let wanted):
      "value \(sequence) is held by \(holders) of \(wanted) others"
    case .superseded(let sequence): "value \(sequence) is superseded by a higher one of another publisher"
    case .notRetained(let topic): "\(topic) does not retain its last value"
    case .finalValue(let topic): "\(topic) retains a value that is dated at the end of time; none can be higher"
    case .modelIsOpen(let name): "the model \(name) is open already"
    case .store(let reason): reason
    case .notEncodable(let reason): "the value cannot be encoded: \(reason)"
    case .network(let reason): reason
    }
  }
}
