/// What can go wrong in a run.
public enum Fault: String, CaseIterable, Sendable {
  // On links.
  /// Datagrams are lost, each by itself, up to 30 %.
  case loss
  /// Datagrams are lost in bursts.
  case burstLoss
  /// Datagrams arrive twice.
  case duplication
  /// Datagrams overtake each other.
  case reordering
  /// Datagrams take long, and not equally long.
  case delay
  /// Links stop for a while and then release what they held.
  case clogging
  /// Bits flip; checksums notice.
  case corruption
  /// Datagrams are cut short; checksums notice.
  case truncation
  /// The network falls into two parts.
  case partition
  /// One host is heard by nobody, or hears nobody.
  case oneWayPartition
  /// Two hosts cannot reach each other, but all others can reach both.
  case partialPartition
  /// Each host reaches only its neighbours in a row.
  case chainedPartition
  /// Multicast fails, unicast works.
  case multicastDead
  /// Unicast fails between some hosts, multicast works.
  case unicastDead
  /// Large datagrams vanish on some links.
  case smallMTU
  // At hosts.
  /// A host can send little.
  case narrowUplink
  /// A host's socket takes in little at a time.
  case receiveOverflow
  /// A host gets another address.
  case addressChange
  /// An endpoint ends without a word, for good.
  case crash
  /// An endpoint ends without a word and starts anew with the same ID.
  case reboot
  /// An endpoint says goodbye and starts anew.
  case leave
  /// An endpoint stands still for 1 … 60 s while its datagrams pile up.
  case pause
  /// A second endpoint has the ID of another.
  case clonedID
  /// A second endpoint has the name of another.
  case clonedName
  /// A subscriber uses up what it gets slowly, and holds back its publishers.
  case slowSubscriber
  /// Clocks run up to 1 % fast or slow.
  case clockDrift
  /// Wall clocks are an hour off, or in 1970.
  case wrongWallClock
  // By an attacker elsewhere.
  /// Random bytes arrive.
  case hostileBytes
  /// Damaged copies of real discovery datagrams arrive.
  case mutatedCopies
  /// Copies of real datagrams arrive again, from elsewhere.
  case replays
  /// Announcements arrive under forged source addresses.
  case forgedSources
}
