import GlueCore
import GlueQuorum

/// A fencing token of a quorum model is given to one opening only, tokens grow, and nobody takes a lock for held when somebody else has been
/// given it for longer than clocks may differ.
package struct QuorumLocks {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Grant {
    var opening: Opening
    var name: String
    var at: Timestamp
  }
  private var grants: [UInt64: Grant] = [:]
  /// What was written under the protection of a lock: by entry of the log.
  private var fenced: [String: [LogIndex: UInt64]] = [:]

  /// Clocks run up to one per cent fast or slow: that of a holder, and those of the leaders who count its time.
  private static let differencePerMillion: UInt64 = 25_000
  /// The longest life of a lock in a run.
  static let longestLife = Nanoseconds.milliseconds(4_000)
  /// For so long two may take a lock for held.
  static let tolerance = Nanoseconds(
    longestLife.count * differencePerMillion / 1_000_000 + Nanoseconds.milliseconds(10).count)

  /// Nothing granted yet.
  package init() {}

  /// How many locks were granted.
  package var count: Int { grants.count }

  /// A lock is granted.
  package mutating func granted(_ name: String, token: UInt64, to opening: Opening, at now: Timestamp) -> String? {
    checks += 1
    guard let known = grants[token] else {
      grants[token] = Grant(opening: opening, name: name, at: now)
      return nil
    }
    guard known.opening != opening || known.name != name else { return nil }
    return
      "token \(token) was given to opening \(known.opening) for \(known.name) and to opening \(opening) for \(name)"
  }

  /// An opening takes a lock for held.
  package mutating func holds(_ name: String, token: UInt64, at opening: Opening, now: Timestamp) -> String? {
    checks += 1
    for (other, grant) in grants.sorted(by: { $0.key < $1.key }) where other > token && grant.name == name {
      guard now.since(grant.at) > Self.tolerance else { continue }
      return
        "opening \(opening) holds \(name) with token \(token), and opening \(grant.opening) was given token \(other) at "
        + grant.at.secondsText
    }
    return nil
  }

  /// Something that was to happen only with this token has happened.
  package mutating func committed(_ name: String, token: UInt64, at index: LogIndex) -> String? {
    checks += 1
    for (other, entry) in fenced[name, default: [:]].map({ ($0.value, $0.key) }).sorted(by: { $0.1 < $1.1 })
    where entry < index ? other > token : other < token {
      return "\(name) protects entry \(entry) by token \(other), and entry \(index) by token \(token)"
    }
    fenced[name, default: [:]][index] = max(token, fenced[name]?[index] ?? 0)
    return nil
  }
}
