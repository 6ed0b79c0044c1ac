import GlueCore

/// How the network treats datagrams from one host to another.
package struct LinkConditions: Equatable, Sendable {
  /// Time under way.
  package var delay = Nanoseconds.microseconds(100)
  /// Most that is added to it by chance.
  package var jitter = Nanoseconds.microseconds(30)
  /// Datagrams lost, each by itself, in a million.
  package var lossPerMillion = 0
  /// Losses in bursts.
  package var bursts: BurstLoss?
  /// Datagrams that arrive twice, in a million.
  package var duplicationPerMillion = 0
  /// Datagrams that are held up so that later ones overtake them, in a million.
  package var reorderingPerMillion = 0
  /// For how long these are held up at most.
  package var reorderingDelay = Nanoseconds.milliseconds(5)
  /// Datagrams with flipped bits, in a million. The checksum of UDP has the receiver's system drop them.
  package var corruptionPerMillion = 0
  /// Datagrams cut short, in a million; dropped likewise.
  package var truncationPerMillion = 0
  /// Nothing addressed to the host itself arrives.
  package var isUnicastBlocked = false
  /// Nothing addressed to a group arrives.
  package var isGroupBlocked = false
  /// Largest UDP payload that passes.
  package var maximumBytes = 1_472
  /// Until then datagrams are held back; then all arrive at once.
  package var clogsUntil: Timestamp?

  /// A sound local network.
  package init() {}

  /// Whether anything but delay and size is wrong.
  package var isSound: Bool {
    lossPerMillion == 0 && bursts == nil && duplicationPerMillion == 0 && reorderingPerMillion == 0
      && corruptionPerMillion == 0 && truncationPerMillion == 0 && !isUnicastBlocked && !isGroupBlocked
      && clogsUntil == nil && maximumBytes >= 1_472 && delay + jitter <= .milliseconds(2)
  }
}

/// Loss in bursts: a Markov chain of a good and a bad state (Gilbert 1960, Elliott 1963).
package struct BurstLoss: Equatable, Sendable {
  /// Changes from good to bad, in a million datagrams.
  package var beginPerMillion: Int
  /// Changes from bad to good, in a million datagrams.
  package var endPerMillion: Int
  /// Datagrams lost in the bad state, in a million.
  package var lossPerMillion: Int

  /// All fields.
  package init(beginPerMillion: Int, endPerMillion: Int, lossPerMillion: Int) {
    self.beginPerMillion = beginPerMillion
    self.endPerMillion = endPerMillion
    self.lossPerMillion = lossPerMillion
  }

  /// Steps the chain; says whether this datagram is lost.
  package func loses(_ isBad: inout Bool, _ dice: inout Dice) -> Bool {
    if dice.chance(perMillion: isBad ? endPerMillion : beginPerMillion) { isBad.toggle() }
    return isBad && dice.chance(perMillion: lossPerMillion)
  }
}

/// What a host can send and take in.
package struct HostConditions: Equatable, Sendable {
  /// Bytes per second that it can send; nil for no limit.
  package var bandwidth: UInt64?
  /// Bytes that its socket takes in one millisecond; what exceeds them is lost. With ``processing``: bytes that its socket
  /// holds, each datagram charged as a kernel does.
  package var receiveBufferBytes = 212_992
  /// Time that its endpoint takes for each datagram, while others wait in the socket; zero: none.
  package var processing = Nanoseconds.zero
  /// Its own interface refuses datagrams above this, and says so.
  package var interfaceBytes = 65_507

  /// What the kernel charges a datagram for its bookkeeping, about.
  package static let datagramOverhead = 512

  /// An idle host.
  package init() {}
}
