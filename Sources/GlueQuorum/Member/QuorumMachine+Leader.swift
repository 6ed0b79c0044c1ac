import DequeModule
import GlueCore

/// What a leader has to remember as long as it leads.
struct Leading: Sendable {
  let term: Term
  /// When it began to count quorum time, and from where: when it had applied everything from before its term.
  var clock: (at: Timestamp, time: QuorumTime)?
  /// The time in the last batch it proposed.
  var lastTime: QuorumTime = 0
  /// Batches that are not applied yet, in the order of the log, and who asked.
  var proposed: Deque<(index: LogIndex, from: EndpointID, commands: [QuorumCommand])> = []
  /// Reads that wait for a round: who asked, and its numbers.
  var reads: Deque<(token: UInt64, from: EndpointID, numbers: [UInt64])> = []
  var lastToken: UInt64 = 0
  /// What came before it was ready.
  var held: [(from: EndpointID, commands: [QuorumCommand], reads: [UInt64])] = []
  /// Bytes of the commands among them.
  var heldBytes = 0
  /// Entries that were applied and not yet told to all.
  var news: [RaftEntry] = []
  var toldCommit: LogIndex = 0
  var beaconAt: Timestamp
  var expireAt: Timestamp
}

extension QuorumMachine {
  /// Begins to lead, or stops: whoever asked has to ask somebody else, who may have what was asked in its log already.
  func noticeLeading(_ now: Timestamp) {
    guard let raft, raft.role == .leader, storageFailure == nil else { return stopLeading(now) }
    if leading?.term != raft.term {
      stopLeading(now)
      leading = Leading(term: raft.term, beaconAt: now, expireAt: now)
      noteReady(now)
    }
  }

  private func stopLeading(_ now: Timestamp) {
    guard let past = leading else { return }
    leading = nil
    for ask in past.held { redirect(ask.commands, reads: ask.reads, to: ask.from, now) }
    for batch in past.proposed { redirect(batch.commands, reads: [], to: batch.from, now) }
    for read in past.reads { redirect([], reads: read.numbers, to: read.from, now) }
  }

  /// Everything from before its term is applied: the leader knows what time it is, and takes requests.
  private func noteReady(_ now: Timestamp) {
    guard let term = leading?.term, leading?.clock == nil, appliedTerm == term else { return }
    leading?.clock = (now, state.time)
    leading?.lastTime = state.time
    greetAll()
    let held = leading?.held ?? []
    leading?.held = []
    leading?.heldBytes = 0
    for ask in held { receiveAsk(ask.commands, reads: ask.reads, from: ask.from, at: now) }
  }

  /// Milliseconds of quorum time: they go on while somebody leads.
  func quorumTime(_ now: Timestamp) -> QuorumTime {
    guard let leading, let clock = leading.clock else { return state.time }
    return max(leading.lastTime, clock.time &+ now.since(clock.at).count / 1_000_000)
  }

  // MARK: Requests

  func receiveAsk(_ commands: [QuorumCommand], reads: [UInt64], from peer: EndpointID, at now: Timestamp) {
    guard let raft, let leading else { return redirect(commands, reads: reads, to: peer, now) }
    // Whoever sends what is too long is not one of ours: it would hold up the log.
    let bytes = commands.reduce(0) { $0 + $1.approximateBytes }
    guard bytes <= QuorumStateLimits.commandBytes + QuorumConfiguration.commandBytesPerMessage,
      commands.allSatisfy({ $0.approximateBytes <= QuorumStateLimits.commandBytes }),
      reads.count <= QuorumStateLimits.results
    else { return }
    guard leading.clock != nil else {
      guard leading.held.count < QuorumConfiguration.heldAsks,
        leading.held.isEmpty || leading.heldBytes + bytes <= QuorumConfiguration.heldBytes
      else { return redirect(commands, reads: reads, to: peer, now) }
      self.leading?.held.append((peer, commands, reads))
      self.leading?.heldBytes += bytes
      return
    }
    if !commands.isEmpty {
      let time = quorumTime(now)
      do throws(RaftRefusal) {
        let index = try raft.propose(QuorumBatch(time: time, commands: commands).encoded(), at: now)
        self.leading?.lastTime = time
        self.leading?.proposed.append((index, peer, commands))
      } catch {
        redirect(commands, reads: [], to: peer, now)
      }
    }
    if !reads.isEmpty, fault == .leaseReadAfterPause, raft.hearsMajority(at: raft.now) {
      answer(peer, at: now) { $0.reads += reads.map { QuorumAnswer.Read(number: $0, index: applied) } }
    } else if !reads.isEmpty {
      let token = leading.lastToken + 1
      self.leading?.lastToken = token
      self.leading?.reads.append((token, peer, reads))
      raft.requestRead(token, at: now)
    }
  }

  private func redirect(_ commands: [QuorumCommand], reads: [UInt64], to peer: EndpointID, _ now: Timestamp) {
    var requests: [RequestID] = []
    var nonces: [UInt64] = []
    for command in commands {
      if case .openSession(let nonce) = command.operation {
        nonces.append(nonce)
      } else {
        requests.append(command.request)
      }
    }
    if peer == endpoint {
      // Not at once: what is in the way has to go first.
      client.refused(requests, nonces: nonces, reads: reads, until: now + QuorumConfiguration.busyPause)
    } else if let cluster {
      send(.redirect(cluster, leader: leader, requests: requests, nonces: nonces, reads: reads), to: peer)
    }
  }

  /// An entry was applied: whoever asked for what is in it gets to know.
  func leaderApplied(_ entry: RaftEntry, at now: Timestamp) {
    guard leading != nil else { return }
    if hasListeners { leading?.news.append(entry) }
    noteReady(now)
  }

  /// The outcomes of a batch, to whoever sent it.
  func answerBatch(_ outcomes: [(RequestID, QuorumOutcome)], index: LogIndex, at now: Timestamp) {
    while let earlier = leading?.proposed.first, earlier.index < index {
      leading?.proposed.removeFirst()
      redirect(earlier.commands, reads: [], to: earlier.from, now)
    }
    guard let first = leading?.proposed.first, first.index == index else { return }
    leading?.proposed.removeFirst()
    // What stands there may be another leader's.
    guard first.commands.map(\.request) == outcomes.map(\.0) else {
      return redirect(first.commands, reads: [], to: first.from, now)
    }
    let answers = zip(first.commands, outcomes).map { command, outcome in
      var nonce: UInt64 = 0
      if case .openSession(let number) = command.operation { nonce = number }
      return QuorumAnswer.Outcome(request: command.request, nonce: nonce, outcome: outcome.1)
    }
    answer(first.from, at: now) { $0.outcomes += answers }
  }

  func concludeRead(_ token: UInt64, _ index: LogIndex?, at now: Timestamp) {
    guard let place = leading?.reads.firstIndex(where: { $0.token == token }),
      let read = leading?.reads.remove(at: place)
    else { return }
    guard let index else { return redirect([], reads: read.numbers, to: read.from, now) }
    answer(read.from, at: now) { answer in
      answer.reads += read.numbers.map { QuorumAnswer.Read(number: $0, index: index) }
    }
  }

  /// Answers are collected, so that each peer gets one message with all of them.
  private func answer(_ peer: EndpointID, at now: Timestamp, _ body: (inout QuorumAnswer) -> Void) {
    if peer == endpoint {
      var answer = QuorumAnswer()
      body(&answer)
      return receiveAnswer(answer, at: now)
    }
    if let index = answers.lastIndex(where: { $0.peer == peer }) {
      body(&answers[index].answer)
    } else {
      var answer = QuorumAnswer()
      body(&answer)
      answers.append((peer, answer))
    }
  }

  func sendAnswers() {
    guard !answers.isEmpty, let cluster else { return }
    for (peer, answer) in answers { send(.answer(cluster, answer), to: peer) }
    answers = []
  }

  // MARK: News

  /// Tells all what is decided. Those who miss it fetch it.
  func sendNews(_ now: Timestamp) {
    guard let leading, leading.clock != nil, let cluster, let raft else { return }
    guard hasListeners else {
      self.leading?.news = []
      return
    }
    guard !leading.news.isEmpty || now >= leading.beaconAt else { return }
    self.leading?.news = []
    self.leading?.beaconAt = now + QuorumConfiguration.beaconInterval
    var rest = leading.news[...]
    repeat {
      var bytes = 0
      let part = rest.prefix { entry in
        bytes += entry.encodedBound
        return bytes <= QuorumConfiguration.entriesBytes
      }
      // One that is too long for a message of its own is fetched.
      let entries = part.isEmpty ? [] : Array(part)
      let commit = entries.last?.index ?? rest.first?.index ?? applied
      rest = rest.dropFirst(max(1, part.count))
      broadcast(.news(cluster, QuorumNews(term: raft.term, leader: endpoint, commit: commit, entries: entries)))
    } while !rest.isEmpty
  }

  // MARK: Time

  /// What a leader does from time to time: tell that it is there, and remove what has run out.
  func checkLeading(_ now: Timestamp) {
    guard let leading, leading.clock != nil, let raft else { return }
    guard now >= leading.expireAt, let next = state.nextExpiry, next <= quorumTime(now) else { return }
    self.leading?.expireAt = now + QuorumConfiguration.expiryInterval
    let time = quorumTime(now)
    if (try? raft.propose(QuorumBatch(time: time, commands: []).encoded(), at: now)) != nil {
      self.leading?.lastTime = time
    }
  }

  /// When a leader has to look again.
  var leadingWakeup: Timestamp? {
    guard let leading, let clock = leading.clock else { return nil }
    var wakeup = hasListeners ? leading.beaconAt : nil
    if let next = state.nextExpiry {
      let wait = next > clock.time ? next - clock.time : 0
      let due = max(leading.expireAt, clock.at + Nanoseconds.milliseconds(wait) + Nanoseconds.milliseconds(1))
      wakeup = min(wakeup ?? due, due)
    }
    return wakeup
  }

  // MARK: Members

  /// Takes the next step towards another membership, if it is time for one, and says how far it is.
  func advance(_ change: QuorumChange, at now: Timestamp) -> QuorumChangeResult {
    guard let raft, let leading, leading.clock != nil else { return .notLeader }
    let present = raft.membership
    guard raft.committedMembership == present else { return .isUnderWay }
    switch change {
    case .add(let endpoint, let asVoter):
      guard let storage = endpoint == self.endpoint ? self.storage : peer(endpoint)?.hello?.storage else {
        return .isAbsent
      }
      let new = MemberID(endpoint, storage)
      if present.contains(new), present.isVoter(new) == asVoter {
        return membership == present ? .isDone : .isUnderWay
      }
      // One that lost its storage is replaced: first the one that is gone for ever goes.
      if let old = present.all.first(where: { $0.endpoint == endpoint && $0 != new }) {
        return propose(present.without(old), at: now)
      }
      // A voter that is to be a learner gives up its vote in the same way as one gets in: one member differs.
      guard present.contains(new), asVoter else {
        guard present.learners.count < Membership.learnerLimit, present.voters != [new] else { return .wrongCount }
        let rest = present.voters.filter { $0 != new }
        return propose(Membership(voters: rest, learners: present.learners + [new]), at: now)
      }
      guard present.voters.count < Membership.voterLimit else { return .wrongCount }
      guard let progress = raft.progress.first(where: { $0.member == new }), progress.isActive,
        progress.match + QuorumConfiguration.caughtUpEntries >= raft.lastIndex
      else { return .isUnderWay }
      return propose(
        Membership(voters: present.voters + [new], learners: present.learners.filter { $0 != new }), at: now)
    case .remove(let endpoint):
      guard let old = present.all.first(where: { $0.endpoint == endpoint }) else {
        return membership == present ? .isDone : .isUnderWay
      }
      if present.voters == [old] { return .wrongCount }
      return propose(present.without(old), at: now)
    }
  }

  private func propose(_ new: Membership, at now: Timestamp) -> QuorumChangeResult {
    guard let raft, let member else { return .notLeader }
    // Those who are there must be a majority afterwards, or nothing would be decided any more, this change included.
    let active = Set(raft.progress.filter(\.isActive).map(\.member)).union([member])
    guard new.voters.filter({ active.contains($0) }).count >= new.majority else { return .wouldStop }
    do throws(RaftRefusal) {
      _ = try raft.propose(new, at: now)
      return .isUnderWay
    } catch .badChange {
      return .wrongCount
    } catch .notLeader {
      return .notLeader
    } catch {
      return .isUnderWay
    }
  }
}

extension Membership {
  func without(_ member: MemberID) -> Membership {
    Membership(voters: voters.filter { $0 != member }, learners: learners.filter { $0 != member })
  }
}
