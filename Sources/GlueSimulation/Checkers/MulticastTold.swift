import GlueCore

/// Multicast that does not get through is told, and what gets through is not called broken. Judged by what an endpoint told
/// last, which was true for a while before.
package struct MulticastTold {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private var isBroken: [Life: Bool] = [:]
  private var blockedSince: [Life: Timestamp] = [:]
  /// Lives that cannot know: they have lost a peer or stood still since multicast was blocked.
  private var excused: Set<Life> = []
  /// When an attacker last sent a copy of what was overheard.
  private var misledAt: Timestamp?

  /// Nothing told yet.
  package init() {}

  /// A life told that multicast is broken, or that it works again.
  package mutating func told(_ life: Life, isBroken: Bool) { self.isBroken[life] = isBroken }

  /// A life lost a peer, and what it knew of it, or stands still.
  package mutating func disturbed(_ life: Life) { excused.insert(life) }

  /// An attacker sends a copy of what was overheard. The copy of an announcement, sent to the group, does arrive by multicast
  /// where the original cannot: who gets it hears its sender, and so does not tell it otherwise; sent to one endpoint, it may
  /// say once more that this one is heard. So a wall has to be noticed only when no copy has come for `patience`.
  package mutating func misled(at now: Timestamp) { misledAt = now }

  /// A live endpoint was looked at. `isBlocked`: no multicast passes between it and any of its peers now. `isClogged`: some of what
  /// was sent before is still on its way, or waits in a socket, and will be heard. `isSound`: everything has passed between it and one of them for
  /// `patience`, by which it has to have noticed.
  package mutating func sampled(
    _ life: Life, isBlocked: Bool, isClogged: Bool, isSound: Bool, patience: Nanoseconds, at now: Timestamp
  ) -> String? {
    let since = isBlocked ? (isClogged ? nil : blockedSince[life]) ?? now : nil
    blockedSince[life] = since
    if !isBlocked { excused.remove(life) }
    let saysBroken = isBroken[life] ?? false
    let isMisled = misledAt.map { now.since($0) <= patience } ?? false
    if let since, now.since(since) > patience, !isMisled, !excused.contains(life) {
      checks += 1
      if !saysBroken {
        return "life \(life) does not say that no multicast passes, which is so since \(since.secondsText)"
      }
    }
    if isSound {
      checks += 1
      if saysBroken { return "life \(life) says that no multicast passes, which is not so" }
    }
    return nil
  }
}
