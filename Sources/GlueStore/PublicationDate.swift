import GlueCore

/// When a stored message was published, in a form that outlives the boot.
struct PublicationDate: Hashable {
  /// The boot of the host when it stored the message.
  var bootID: String
  /// Publication on that boot's clock.
  var boot: Timestamp
  /// Publication on the wall clock of the host that stored it, microseconds since 1970.
  var wallMicroseconds: Int64
  /// When it was stored, on the same clock.
  var storedMicroseconds: Int64

  /// How far the wall clock may have been set back across a boot before it dates nothing any more, and how far a publication may
  /// seem to lie in the future of its own boot's clock. More tolerance forgives a worse clock, and delivers messages later than
  /// their expiry by up to as much.
  static let toleranceMicroseconds: Int64 = 1_000_000

  /// All fields.
  init(bootID: String, boot: Timestamp, wallMicroseconds: Int64, storedMicroseconds: Int64) {
    self.bootID = bootID
    self.boot = boot
    self.wallMicroseconds = wallMicroseconds
    self.storedMicroseconds = storedMicroseconds
  }

  /// Of a message that is stored now.
  init(publishedAt: Timestamp, storedAt clock: StoreClock) {
    bootID = clock.bootID
    boot = publishedAt
    storedMicroseconds = Int64(clamping: clock.wallMicroseconds)
    let age = Int64(clock.boot.since(publishedAt).count / 1_000)
    let ahead = Int64(publishedAt.since(clock.boot).count / 1_000)
    wallMicroseconds = Self.sum(storedMicroseconds, ahead - age)
  }

  /// The time since publication; nil if nothing plausible can be said.
  func age(at now: StoreClock) -> Nanoseconds? {
    // A clock that is behind what it once showed is another one, although the boot has the same name: a time namespace.
    let latest = now.boot + .microseconds(UInt64(Self.toleranceMicroseconds))
    if bootID == now.bootID, !bootID.isEmpty, boot <= latest { return now.boot.since(boot) }
    let wall = Int64(clamping: now.wallMicroseconds)
    guard wall >= Self.sum(storedMicroseconds, -Self.toleranceMicroseconds) else { return nil }
    let (age, overflow) = max(wall, storedMicroseconds).subtractingReportingOverflow(wallMicroseconds)
    return .microseconds(UInt64(max(overflow ? .max : age, 0)))
  }

  /// Saturates.
  private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (b < 0 ? .min : .max) : sum
  }
}
