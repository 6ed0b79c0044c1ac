import GlueCore
import GlueModel
import Testing

@testable import GlueFuzz
@testable import GlueQuorum

/// The vectors of quorum models: each is what stands here, encoded, and decodes to that. That the bytes are what the documents say,
/// `scripts/check-vectors` checks.
@Suite struct QuorumVectorTests {
  private static let cluster = ClusterID(high: 0x0102_0304_0506_0708, low: 9)
  private static let a = MemberID(EndpointID(1), StorageID(0x11))
  private static let b = MemberID(EndpointID(2), StorageID(0x2222_2222_2222_2222))
  private static let c = MemberID(EndpointID(300), StorageID(3))
  private static let membership = Membership(voters: [a, b], learners: [c])
  private static let entries = [
    RaftEntry(index: 300, term: 4, .empty),
    RaftEntry(index: 301, term: 4, .command(QuorumBatch(time: 1_000, commands: [keepAlive]).encoded())),
    RaftEntry(index: 302, term: 6, .membership(membership)),
  ]
  private static let keepAlive = command(.keepAlive)

  private static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  private static func command(_ operation: QuorumOperation) -> QuorumCommand {
    if case .openSession = operation {
      return QuorumCommand(request: RequestID(session: SessionID(0), number: 0), oldest: 0, operation: operation)
    }
    return QuorumCommand(request: RequestID(session: SessionID(7), number: 300), oldest: 299, operation: operation)
  }

  private static let conditions: [QuorumCondition] = [
    .node(path("a"), nil), .node(path("a/b"), .value("x")), .node(path("v"), .concurrent([1, 2])),
    .node(path("n"), .counter(-75)), .node(path("s"), .set(["hall", 2.5])),
    .node(.root, .map([.init(level: "m", node: .map([.init(level: "k", node: .value(true))]))])),
    .value(path("a"), Optional.none), .value(path("a"), .some(.null)), .value(path("a"), .int(-256)),
    .exists(path("a/b")), .held(lock: "door", token: 300),
  ]

  private static let edits: [ModelEdit] = [
    .set(path("a"), [nil, false, "x"]), .delete(path("a/b")), .add(path("s"), "hall"), .remove(path("s"), 1.5),
    .increment(path("n"), .min), .makeMap(path("m")), .resolve(path("v"), .value(.bytes([0, 255]))),
    .resolve(path("v"), .kind(.counter)),
  ]

  private static let commands: [QuorumCommand] = [
    command(.openSession(nonce: 0x0102_0304_0506_0708)), command(.transaction([], [])),
    command(.transaction(conditions, edits)), command(.acquire(lock: "door", ttl: 10_000, waits: true, note: "Ada")),
    command(.release(lock: "door", token: 0)), keepAlive,
    command(.settle(RequestID(session: SessionID(9), number: 12))), command(.closeSession),
  ]

  private static let outcomes: [QuorumOutcome] =
    [.opened(SessionID(7)), .committed(300), .granted(token: 5, 301), .waiting, .lost]
    + [
      .conditionFailed(1, "a/b"), .refused(.wrongKind(path("a"), is: .set, needs: .counter)),
      .refused(.overflow(path("n"))), .refused(.limit(.transactionBytes, 1 << 20)), .refused(.other),
      .held(lock: "door", note: "Ada"), .notHeld(lock: "door"), .unknownSession, .forgotten, .settled,
      .limit(.commandBytes),
    ].map { QuorumOutcome.rejected($0) }

  private static let answer = QuorumAnswer(
    outcomes: outcomes.enumerated().map { number, outcome in
      QuorumAnswer.Outcome(
        request: number == 0
          ? RequestID(session: SessionID(0), number: 0) : RequestID(session: SessionID(7), number: UInt64(number)),
        nonce: number == 0 ? 0x0102_0304_0506_0708 : 0, outcome: outcome)
    }, reads: [.init(number: 1 << 40, index: 300), .init(number: 2, index: 0)])

  private static let raft: [(String, RaftMessage)] = [
    ("VOTE? that only asks", .voteRequest(.init(term: 7, lastIndex: 300, lastTerm: 6, isPreVote: true))),
    ("VOTE? that the leader wants", .voteRequest(.init(term: 7, lastIndex: 0, lastTerm: 0, isTransfer: true))),
    ("VOTE granted", .voteReply(.init(term: 7, isPreVote: false, isGranted: true))),
    ("VOTE that would not be", .voteReply(.init(term: 1 << 62, isPreVote: true, isGranted: false))),
    ("APPEND", .append(.init(term: 6, previousIndex: 299, previousTerm: 3, commit: 298, entries: entries))),
    ("APPEND, nothing", .append(.init(term: 6, previousIndex: 0, previousTerm: 0, commit: 0))),
    ("APPENDED", .appendReply(.init(term: 6, result: .synced(index: 302, term: 6)))),
    ("APPENDED, refused", .appendReply(.init(term: 6, result: .refused(previous: 300, hint: 200, hintTerm: 3)))),
    ("HEARTBEAT", .heartbeat(term: 6, round: 129, commit: 302)),
    (
      "HEARD",
      .heartbeatReply(.init(term: 6, round: 129, received: 302, synced: 301, syncedTerm: 4))
    ),
    ("BEHIND", .behind(term: 6, index: 1_000)), ("STAND", .stand(term: 6)),
  ]

  private static let messages: [(String, QuorumMessage)] =
    [
      ("HELLO of a newcomer", .hello(QuorumHello(asks: true))),
      (
        "HELLO with everything",
        .hello(
          QuorumHello(
            asks: false, cluster: cluster, storage: a.storage, applied: 1 << 62, term: 6, leader: EndpointID(2)))
      ),
    ] + raft.map { ("RAFT, \($0.0)", .raft(cluster, from: a.storage, to: b.storage, $0.1)) }
    + [
      ("ASK, commands of all kinds", .ask(cluster, commands, reads: [1, 1 << 63])),
      ("ANSWER, outcomes of all kinds", .answer(cluster, answer)),
      (
        "REDIRECT",
        .redirect(
          cluster, leader: EndpointID(2), requests: [RequestID(session: SessionID(7), number: 300)],
          nonces: [0x0102_0304_0506_0708], reads: [1, 2])
      ),
      ("REDIRECT to nobody", .redirect(cluster, leader: nil, requests: [], nonces: [], reads: [])),
      ("NEWS", .news(cluster, QuorumNews(term: 6, leader: EndpointID(2), commit: 302, entries: entries))),
      ("NEWS, nothing", .news(cluster, QuorumNews(term: 6, leader: EndpointID(2), commit: 302, entries: []))),
      ("FETCH of a newcomer", .fetch(nil, from: 1, needsState: false)),
      ("FETCH of a state", .fetch(cluster, from: 300, needsState: true)),
      ("ENTRIES", .entries(cluster, entries)), ("ENTRIES, none", .entries(cluster, [])),
      ("OFFER", .offer(cluster, QuorumOffer(index: 302, term: 6, membership: membership, bytes: 1 << 30))),
      ("WANT", .want(cluster, index: 302, offset: 65_536)),
      ("PIECE", .piece(cluster, index: 302, offset: 65_536, [1, 2, 3])), ("INVITE", .invite(cluster)),
      ("ACCEPT", .accept(cluster, b.storage)), ("DECLINE", .decline(cluster, .followsAnother)),
      ("CHANGE, remove", .change(cluster, number: 300, .remove(EndpointID(3)))),
      ("CHANGE, a learner", .change(cluster, number: 300, .add(EndpointID(3), asVoter: false))),
      ("CHANGE, a voter", .change(cluster, number: 300, .add(EndpointID(3), asVoter: true))),
      ("CHANGED", .changed(cluster, number: 300, .wouldStop)),
    ]

  /// One with sessions, locks, somebody in line and entries.
  private static let state: QuorumState = {
    var state = QuorumState()
    func apply(_ index: LogIndex, _ session: UInt64, _ number: UInt64, _ operation: QuorumOperation) {
      var request = RequestID(session: SessionID(session), number: number)
      if case .openSession = operation { request = RequestID(session: SessionID(0), number: 0) }
      let command = QuorumCommand(request: request, oldest: 1, operation: operation)
      _ = state.apply(QuorumBatch(time: index * 1_000, commands: [command]), index: index)
    }
    apply(2, 0, 0, .openSession(nonce: 0xFF))
    apply(3, 0, 0, .openSession(nonce: 0xFE))
    apply(4, 1, 1, .transaction([], [.set(path("a/b"), "x"), .increment(path("n"), -3), .makeMap(path("m"))]))
    apply(5, 1, 2, .acquire(lock: "door", ttl: 10_000, waits: true, note: "Ada"))
    apply(6, 2, 1, .acquire(lock: "door", ttl: 20_000, waits: true, note: "Bob"))
    apply(7, 2, 2, .acquire(lock: "cellar", ttl: 20_000, waits: false, note: ""))
    apply(8, 1, 3, .transaction([.exists(path("z"))], []))
    apply(9, 1, 4, .transaction([], [.delete(path("a/b"))]))
    return state
  }()

  private static func all() -> [(name: String, kind: String, bytes: [UInt8])] {
    messages.map { (name: "quorum: \($0.0)", kind: "quorum", bytes: $0.1.encoded()) }
      + [
        (name: "quorum: an empty state", kind: "quorumState", bytes: QuorumState().encoded()),
        (name: "quorum: a state", kind: "quorumState", bytes: state.encoded()),
      ]
  }

  @Test func everythingHasItsBytes() throws {
    let vectors = try Corpus().quorumVectors.filter { $0.error == nil }
    let all = Self.all()
    #expect(vectors.map(\.name) == all.map(\.name))
    for (vector, own) in zip(vectors, all) {
      #expect(vector.bytes == own.bytes, "\(vector.name)")
      #expect(vector.kind == own.kind, "\(vector.name)")
    }
  }

  @Test func everythingComesBack() throws {
    for (name, message) in Self.messages {
      let bytes = message.encoded()
      #expect(try bytes.withUnsafeBytes { try QuorumMessage(encoded: $0) } == message, "\(name)")
    }
    #expect(try QuorumState(encoded: Self.state.encoded()).encoded() == Self.state.encoded())
  }

  @Test func invalidOnesAreRefused() throws {
    let vectors = try Corpus().quorumVectors.filter { $0.error != nil }
    #expect(vectors.count >= 12)
    for vector in vectors {
      switch vector.kind {
      case "quorum": #expect(vector.bytes.withUnsafeBytes { QuorumPart.message.reencoded($0) } == nil, "\(vector.name)")
      case "quorumState": #expect(throws: WireError.self) { _ = try QuorumState(encoded: vector.bytes) }
      default: Issue.record("\(vector.name) is of no known kind")
      }
    }
  }
}
