/// Which of two live endpoints that claim the same ID or name has to stop (docs/protocol.md §4.4).
///
/// The older one stays. The trouble is that each of the two, and each bystander, knows the other's uptime only from a
/// datagram: too small by the time that it travelled, `d` in all. (Drift does not matter: whoever compares, compares what
/// the two clocks said.) Let `lead` be the other's uptime as stated, less one's own; with the true difference δ it lies in
/// δ−d … δ. An endpoint that stopped whenever `lead > 0` would be safe, for both cannot be older; but two that started
/// within `d` of each other, as after a power cut, would both stay for ever. Hence:
///
/// - Call the one with the smaller (incarnation, ID) the *weak*, the other the *strong*. Uptimes that differ by less than
///   `near` count as equal, and the weak loses.
/// - The weak stops if `lead ≥ −near`. Otherwise it is older by more than `near`−d, and stands: it says so to the strong in
///   a CLASH of its own, and from then on never stops for that incarnation.
/// - The strong stops for the word of the weak itself if `lead > near/2`, for anybody else's if `lead > near + margin`.
///
/// *Both never stop.* If the strong stopped for a third party's word, δ > near, so the weak's `lead` ≤ −δ < −near: it does
/// not stop; `margin` covers what a third party adds to an uptime while it holds it, on a clock that is fast. If
/// the strong stopped for the weak's own word, the weak stands and will not stop.
/// *One does.* If the weak does not, near < δ+d, and the strong sees `lead` ≥ δ−d′ > near−d−d′, which exceeds near/2 for
/// delays below a quarter of a second: the weak's word is enough. Two that never hear each other, and differ by about
/// `near`, both stay until they do; that is the error on the safe side.
struct Seniority: Sendable {
  var id: EndpointID
  var incarnation: Incarnation
  var uptime: Nanoseconds

  static let near = Nanoseconds.seconds(1)
  static let margin = Nanoseconds.milliseconds(50)

  /// What a third party makes of it. It only has to choose whom to tell; those who are told check.
  enum Opinion { case first, second, either }

  /// Whether this endpoint has to stop for the other. `isOwnWord`: the other itself says that it stands.
  func concedes(to other: Seniority, isOwnWord: Bool) -> Bool {
    let lead = other.lead(over: self)
    if isWeaker(than: other) { return lead >= -Int64(Seniority.near.count) }
    return lead > Int64(isOwnWord ? Seniority.near.count / 2 : (Seniority.near + Seniority.margin).count)
  }

  /// Which of two others probably has to stop.
  static func loser(_ first: Seniority, _ second: Seniority) -> Opinion {
    let firstIsWeak = first.isWeaker(than: second)
    let lead = firstIsWeak ? first.lead(over: second) : second.lead(over: first)
    if lead < Int64(near.count / 2) { return firstIsWeak ? .first : .second }
    if lead > Int64(near.count / 2 * 3) { return firstIsWeak ? .second : .first }
    return .either
  }

  func isWeaker(than other: Seniority) -> Bool { (incarnation, id) < (other.incarnation, other.id) }

  private func lead(over other: Seniority) -> Int64 {
    let longest: UInt64 = 1 << 62
    return Int64(min(uptime.count, longest)) - Int64(min(other.uptime.count, longest))
  }
}
