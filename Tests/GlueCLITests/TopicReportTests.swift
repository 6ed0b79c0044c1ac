import Testing

@testable import Glue
@testable import GlueCLI

/// How `glue topics` says what it has found.
@Suite struct TopicReportTests {
  private func party(_ id: UInt64, _ name: String) -> TopicOverview.Party {
    TopicOverview.Party(id: EndpointID(id), name: name, incarnation: Incarnation(100 + id))
  }

  private func publisher(
    _ party: TopicOverview.Party, isPresent: Bool = true, type: String? = nil, holders: [TopicOverview.Holder] = []
  ) -> TopicOverview.Publisher {
    TopicOverview.Publisher(
      party: party, isPresent: isPresent, type: type, history: isPresent ? .untilExpiry : nil,
      published: isPresent ? PublishedMessages(messages: 12, bytes: 1_200) : nil,
      messagesPerSecond: isPresent ? 1.25 : nil, bytesPerSecond: isPresent ? 125 : nil,
      kept: isPresent ? HeldMessages(first: 2, end: 12, bytes: 1_050) : nil, holders: holders)
  }

  private var overview: TopicOverview {
    let holders = (1...5).map {
      TopicOverview.Holder(party: party($0, "h\($0)"), held: HeldMessages(first: 3, end: 3 + $0, bytes: 10 * $0))
    }
    return TopicOverview(
      topics: [
        TopicOverview.Topic(
          name: "a\u{1B}[31m",
          publishers: [
            publisher(party(7, "new"), type: "T"),
            publisher(party(6, "old"), isPresent: false, type: "T", holders: holders),
          ],
          subscriptions: [
            TopicOverview.Subscription(party: party(1, "h1"), filter: "#", type: nil),
            TopicOverview.Subscription(party: party(1, "h1"), filter: "+", type: "U"),
            TopicOverview.Subscription(party: party(2, "h2"), filter: "+", type: "U"),
          ]),
        TopicOverview.Topic(
          name: "b", publishers: [],
          subscriptions: (1...5).map { .init(party: party($0, "h\($0)"), filter: "b", type: nil) }),
      ],
      unmatched: [TopicOverview.Subscription(party: party(9, "lost"), filter: "c/#", type: nil)], peers: 1,
      incomplete: [party(7, "new")])
  }

  @Test func peopleReadATable() {
    #expect(
      TopicReport.lines(overview) == [
        "TOPIC        TYPE  PUBLISHER      MSG/S  BYTES/S  SENT  HELD                                               SUBSCRIBERS",
        "a\\u{1b}[31m  T     new (7)          1.3      125    12  10                                                 h1 (1), h2 (2) wants U",
        "             T     old (6), gone      -        -     -  1 by h1 (1), 2 by h2 (2), 3 by h3 (3), and 2 more  h1 (1), h2 (2) wants U",
        "b            -     -                  -        -     -  -                                                  h1 (1), h2 (2), h3 (3), and 2 more",
        "no topic matches c/#, to which lost (9) subscribes", "2 topics, 1 other endpoint",
      ])
    let nothing = TopicOverview(topics: [], unmatched: [], peers: 0, incomplete: [])
    #expect(TopicReport.lines(nothing) == ["0 topics, 0 other endpoints"])
  }

  @Test func aRetainedValueIsShownAsOne() {
    let held = HeldMessages(first: 4, end: 5, bytes: 30)
    let publisher = TopicOverview.Publisher(
      party: party(6, "old"), isPresent: false, type: nil, history: .retained, published: nil, messagesPerSecond: nil,
      bytesPerSecond: nil, kept: nil, holders: [TopicOverview.Holder(party: party(1, "h1"), held: held)])
    let topic = TopicOverview.Topic(name: "a", publishers: [publisher], subscriptions: [])
    let overview = TopicOverview(topics: [topic], unmatched: [], peers: 1, incomplete: [])
    #expect(
      TopicReport.lines(overview)[1] == "a      -     old (6), gone      -        -     -  retained by h1 (1)  -")
    #expect(TopicReport.jsonLines(overview, seconds: 1)[0].contains(#""history":"retained""#))
  }

  @Test func programsReadObjects() {
    let lines = TopicReport.jsonLines(overview, seconds: 2)
    #expect(lines.count == 3)
    #expect(
      lines[0].hasPrefix(
        #"{"topic":"a\u001b[31m","types":["T"],"publishers":[{"id":7,"name":"new","incarnation":107,"present":true,"#
          + #""type":"T","history":"expiry","messages":12,"bytes":1200,"messagesPerSecond":1.25,"bytesPerSecond":125.0,"#
          + #""kept":{"first":2,"messages":10,"bytes":1050},"holders":[]},"#), "\(lines[0])")
    #expect(lines[0].contains(#""kept":null,"holders":[{"id":1,"name":"h1","incarnation":101,"first":3,"messages":1,"#))
    #expect(lines[1].contains(#""publishers":[],"subscribers":[{"id":1,"name":"h1","incarnation":101,"filter":"b","#))
    #expect(
      lines[2] == #"{"topics":2,"peers":1,"complete":false,"incomplete":[{"id":7,"name":"new","incarnation":107}],"#
        + #""unmatched":[{"id":9,"name":"lost","incarnation":109,"filter":"c/#","type":null}],"seconds":2.0}"#)
  }
}
