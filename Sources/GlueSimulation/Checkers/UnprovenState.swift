/// What is kept about endpoints that have not proven their address is bounded, and none of them becomes a peer.
package struct UnprovenState {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing sampled yet.
  package init() {}

  /// A life keeps so many entries, may keep so many, and has so many peers that do not exist.
  package mutating func sampled(_ life: Life, entries: Int, cap: Int, ghosts: Int) -> String? {
    checks += 1
    if entries > cap { return "life \(life) keeps \(entries) entries for the unproven; the cap is \(cap)" }
    return ghosts > 0 ? "life \(life) has \(ghosts) peers that never existed" : nil
  }
}
