import GlueCore

@testable import GlueQuorum

/// A course of faults that seldom come together by chance, though each mistake of Raft's needs one of them to show.
struct RaftScene {
  enum Kind: CaseIterable {
    /// Everything fails at once.
    case storm
    /// The power fails for all; then two stand in the same term, and whoever votes crashes before its vote is on disk.
    case split
    /// A follower has what its leader had not synced when it crashed, and sleeps while the same one is elected again.
    case sleeper
    /// Leaders that are cut off or crash soon after they were elected, and come back (Raft paper, figure 8).
    case shortReigns
    /// An old and a new leader change the members, neither knowing of the other (raft-dev, July 2015).
    case rivals
    /// The leader sleeps until there is another one.
    case longPause
  }

  let kind: Kind
  let begin: UInt64
  var end: UInt64
  /// Who is in it: first the leader that it begins with.
  var cast: [Int] = []
  var act = 0
  /// When the act began.
  var actAt: UInt64
}

extension RaftNetwork {
  /// The one who leads in the latest term.
  var leaderPlace: Int? {
    nodes.indices.filter { nodes[$0].machine?.role == .leader }
      .max { (nodes[$0].machine?.term ?? 0) < (nodes[$1].machine?.term ?? 0) }
  }

  /// Living voters, as the machine in that place sees it, without it.
  func voters(besides place: Int) -> [Int] {
    guard let membership = nodes[place].machine?.membership else { return [] }
    return nodes.indices.filter { $0 != place && membership.isVoter(nodes[$0].id) && nodes[$0].machine != nil }
  }

  func isolate(_ place: Int) {
    for other in nodes.indices where other != place { cut.formUnion([place * 16 + other, other * 16 + place]) }
  }

  /// It stands as soon as it is its turn.
  func kick(_ place: Int) { nodes[place].machine?.electionDeadline = now }

  /// Whoever has a vote to write goes down before it is written, and is back at once.
  func crashVoters() {
    for node in nodes where node.write?.hardState?.vote.map({ $0 != node.id }) ?? false && chance(40) {
      node.machine = nil
      node.write = nil
      node.backAt = time
    }
  }

  func play() {
    if scene == nil, chance(5) { beginScene() }
    guard let scene else { return }
    guard time < scene.end else {
      self.scene = nil
      cut = []
      return
    }
    switch scene.kind {
    case .storm, .longPause: break
    case .split: playSplit(scene)
    case .sleeper: playSleeper(scene)
    case .shortReigns: playShortReigns()
    case .rivals: playRivals(scene)
    }
  }

  private func beginScene() {
    let kind = favourite ?? RaftScene.Kind.allCases[pick(RaftScene.Kind.allCases.count)]
    var new = RaftScene(kind: kind, begin: time, end: time + 500, actAt: time)
    switch kind {
    case .storm: new.end = time + 1_000
    case .split:
      for place in nodes.indices where nodes[place].machine != nil {
        nodes[place].machine = nil
        nodes[place].write = nil
        nodes[place].backAt = time
      }
      new.end = time + 250
    case .shortReigns: new.end = time + 1_000
    case .sleeper, .rivals, .longPause:
      guard let leader = leaderPlace else { return }
      let others = voters(besides: leader)
      guard kind == .rivals || !others.isEmpty else { return }
      cut = []
      new.cast = [leader]
      switch kind {
      case .sleeper:
        let sleeper = others[pick(others.count)]
        new.cast.append(sleeper)
        // Only who is going to sleep gets what is proposed now.
        for other in others where other != sleeper { cut.insert(leader * 16 + other) }
        new.end = time + 520
      case .rivals:
        isolate(leader)
        new.end = time + 1_500
      default:
        let span = 10 * (25 + random.next() % 40)
        nodes[leader].pausedUntil = time + span
        new.end = time + span + 20
      }
    }
    scene = new
  }

  private func nextAct() {
    scene?.act += 1
    scene?.actAt = time
  }

  private func playSplit(_ scene: RaftScene) {
    guard scene.act == 0, time >= scene.begin + 20, let some = nodes.indices.first(where: { nodes[$0].machine != nil })
    else { return }
    nextAct()
    var voters = voters(besides: some) + [some]
    for _ in 0..<2 where !voters.isEmpty { kick(voters.remove(at: pick(voters.count))) }
  }

  private func playSleeper(_ scene: RaftScene) {
    let (leader, sleeper) = (scene.cast[0], scene.cast[1])
    let since = time - scene.begin
    switch scene.act {
    case 0:
      // Its disk stalls.
      nodes[leader].write = nil
      if since < 40 { _ = try? nodes[leader].machine?.propose([UInt8(truncatingIfNeeded: random.next())], at: now) }
      guard since >= 50 else { return }
      nodes[leader].machine = nil
      nodes[leader].backAt = time
      cut = []
      isolate(sleeper)
      nodes[sleeper].pausedUntil = time + 400
      nextAct()
    case 1:
      guard since >= 220 else { return }
      kick(leader)
      nextAct()
    case 2:
      guard since >= 380 else { return }
      cut = []
      nextAct()
    default: break
    }
  }

  private func playShortReigns() {
    guard let leader = leaderPlace else {
      if chance(15) { kick(pick(nodes.count)) }
      return
    }
    if chance(60) { _ = try? nodes[leader].machine?.propose([UInt8(truncatingIfNeeded: random.next())], at: now) }
    if chance(10) { cut = [] }
    guard chance(20) else { return }
    if chance(50) {
      nodes[leader].machine = nil
      nodes[leader].write = nil
      nodes[leader].backAt = time + 10 * (random.next() % 15)
    } else {
      // It reaches some, or nobody.
      for other in nodes.indices where other != leader && chance(70) {
        cut.formUnion([leader * 16 + other, other * 16 + leader])
      }
    }
    let others = nodes.indices.filter { $0 != leader }
    if !others.isEmpty { kick(others[pick(others.count)]) }
  }

  private func playRivals(_ scene: RaftScene) {
    let old = scene.cast[0]
    switch scene.act {
    case 0:
      // The old one, which nobody hears, changes what it can.
      if let machine = nodes[old].machine, machine.role == .leader {
        if chance(60) { grow(machine) } else { shrink(machine, to: old) }
      }
      guard let new = leaderPlace, new != old else {
        if time >= scene.begin + 160, chance(10) { kick(pick(nodes.count)) }
        return
      }
      // The new one changes them as soon as it leads, and somebody who has voted for it hears of nothing.
      self.scene?.cast.append(new)
      let others = voters(besides: new).filter { $0 != old }
      if !others.isEmpty {
        let lone = others[pick(others.count)]
        self.scene?.cast.append(lone)
        isolate(lone)
      }
      nextAct()
      fallthrough
    case 1:
      guard let place = self.scene?.cast[1], let machine = nodes[place].machine, machine.role == .leader else {
        return nextAct()
      }
      _ = try? machine.propose(machine.membership.without(nodes[old].id), at: now)
      if time >= (self.scene?.actAt ?? time) + 120 { nextAct() }
    case 2:
      // Those who know of the second change are cut off, and the old one stands again.
      cut = []
      let side = nodes.indices.filter { place in
        place == old || scene.cast.dropFirst(2).contains(place)
          || !(nodes[place].machine?.membership.isVoter(nodes[place].id) ?? false)
      }
      for from in nodes.indices {
        for to in nodes.indices where side.contains(from) != side.contains(to) { cut.insert(from * 16 + to) }
      }
      nextAct()
    default: if time >= scene.actAt + 160, chance(8) { kick(old) }
    }
  }

  private func grow(_ machine: RaftMachine) {
    let old = machine.membership
    guard let one = nodes.first(where: { !old.isVoter($0.id) })?.id else { return change(machine) }
    _ = try? machine.propose(
      Membership(voters: old.voters + [one], learners: old.learners.filter { $0 != one }), at: now)
  }

  private func shrink(_ machine: RaftMachine, to place: Int) {
    let old = machine.membership
    guard let one = old.voters.first(where: { $0 != nodes[place].id }) else { return }
    _ = try? machine.propose(old.without(one), at: now)
  }
}
