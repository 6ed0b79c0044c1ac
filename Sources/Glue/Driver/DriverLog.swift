import GlueCore
import GlueNetwork
import Logging
import Synchronization

/// The log of an endpoint: its identity in every line, and one line a second at most for each cause.
final class DriverLog: Sendable {
  let logger: Logger
  let limiter = RateLimiter(interval: .seconds(1))

  init(_ logger: Logger, id: EndpointID, name: String) {
    var logger = logger
    logger[metadataKey: "endpoint"] = "\(id)"
    logger[metadataKey: "name"] = "\(name)"
    self.logger = logger
  }

  func log(_ event: Event) {
    let (level, cause, metadata) = Self.describe(event)
    guard logger.logLevel <= level else { return }
    var suppressed: UInt64 = 0
    if let cause {
      guard let count = limiter.permits(cause) else { return }
      suppressed = count
    }
    var fields = metadata
    if suppressed > 0 { fields["suppressed"] = "\(suppressed)" }
    logger.log(level: level, "\(event)", metadata: fields)
  }

  /// How an event is logged: its level, the cause under which lines are limited, and its facts.
  private static func describe(_ event: Event) -> (Logger.Level, cause: String?, Logger.Metadata) {
    switch event {
    case .peerAdded(let peer), .peerUpdated(let peer):
      (.info, nil, ["peer": "\(peer.id)", "address": "\(peer.addressText)"])
    case .peerRemoved(let peer, let reason): (.info, nil, ["peer": "\(peer.id)", "reason": "\(reason)"])
    case .loss(let report):
      (
        .warning, "loss \(report.reason)",
        [
          "topic": "\(report.topic)", "publisher": "\(report.publisher.id)", "reason": "\(report.reason)",
          "count": "\(report.sequences.count)",
        ]
      )
    case .typeMismatch(let mismatch):
      (.warning, "mismatch", ["topic": "\(mismatch.topic)", "publisher": "\(mismatch.publisher)"])
    case .keyMismatch(let mismatch): (.warning, "key mismatch", ["mismatch": "\(mismatch)"])
    case .keyFileUnusable(let reason): (.error, nil, ["reason": "\(reason)"])
    case .publicationRefused(let topic, let peer): (.warning, "refused", ["topic": "\(topic)", "peer": "\(peer)"])
    case .subscriptionRefused(let filter, let peer):
      (.warning, "refused", ["filter": "\(filter)", "peer": "\(peer)"])
    case .clash(let notice): (.error, "clash", ["holder": "\(notice.holder.id)", "loser": "\(notice.loser.id)"])
    case .incompatible(let id, let name, let versions):
      (.warning, "incompatible", ["peer": "\(id)", "name": "\(name)", "versions": "\(versions)"])
    case .multicast(let report):
      // Told when it changes, so each line is news.
      (report.isBroken ? .warning : .notice, nil, ["multicast": "\(report.state.rawValue)"])
    case .limit(let name, let count): (.warning, "limit \(name)", ["limit": "\(name)", "count": "\(count)"])
    case .slowCallback(let filter, let duration, let isOver):
      // Limited where it is made, by filter.
      (.warning, nil, ["filter": "\(filter)", "duration": "\(duration)", "over": "\(isOver)"])
    case .undecodable(let topic, let publisher, let sequence, reason: _):
      (
        .warning, "undecodable",
        ["topic": "\(topic)", "publisher": "\(publisher.id)", "sequence": "\(sequence)"]
      )
    case .interfaces(let choice):
      (
        // Of those that a setting names none should be missing.
        choice.used.isEmpty
          || choice.reason == .setting && choice.interfaces.contains { $0.obstacle?.isAwaited == true }
          ? .warning : .info, nil,
        ["interfaces": "\(choice.used.map(\.name).joined(separator: ","))"]
      )
    case .resumed(let duration): (.notice, nil, ["duration": "\(duration)"])
    case .storeLoaded(let messages, let expired, let undatable):
      (
        undatable > 0 ? .warning : .info, nil,
        ["messages": "\(messages)", "expired": "\(expired)", "undatable": "\(undatable)"]
      )
    case .storeFailing(let reason): (.error, nil, ["reason": "\(reason)"])  // limited where it is made
    case .storeRecovered(let duration): (.notice, nil, ["duration": "\(duration)"])
    case .timeAhead(let topic, let publisher, let lead):
      // Limited where it is made.
      (.warning, nil, ["topic": "\(topic)", "publisher": "\(publisher.id)", "lead": "\(lead)"])
    case .quorum(let name, let event):
      // What somebody should look after is not held back by what is only told.
      (
        event.isAlarming ? .warning : .info, event.isAlarming ? "quorum alarm" : "quorum",
        ["quorum": "\(name)", "event": "\(event)"]
      )
    case .model(let name, let event): (.warning, "model", ["model": "\(name)", "event": "\(event)"])
    case .networkError: (.warning, nil, [:])  // limited where it is made, by cause
    case .eventsDropped(let count): (.warning, "events dropped", ["count": "\(count)"])
    }
  }
}

/// Lets one through for each cause and interval, and counts the others.
final class RateLimiter: Sendable {
  private struct Record {
    var last: UInt64
    var suppressed: UInt64 = 0
  }

  /// Causes are few (kinds of events, error numbers, names of limits); should they be many, the limiter starts anew.
  private static let maximumCauses = 256
  private let interval: UInt64
  private let records = Mutex<[String: Record]>([:])

  init(interval: Nanoseconds) { self.interval = interval.count }

  /// - Returns: How many were suppressed since the last one; `nil` if this one is to be suppressed.
  func permits(_ cause: String) -> UInt64? {
    let now = MonotonicClock.nowNanoseconds()
    return records.withLock { records in
      guard let record = records[cause] else {
        if records.count >= Self.maximumCauses { records.removeAll() }
        records[cause] = Record(last: now)
        return 0
      }
      guard now - record.last >= interval else {
        records[cause]?.suppressed += 1
        return nil
      }
      records[cause] = Record(last: now)
      return record.suppressed
    }
  }
}
