import GlueAddress
import Testing

@testable import GlueCore

/// Who publishes, wants and holds what is asked, and costs nobody any data.
@Suite struct InquiryTests {
  private func advertise(_ pair: Pair, _ topic: String, type: String? = nil, history: HistoryPolicy = .none) throws
    -> PublicationID
  {
    try pair.machines[0].advertise(topic, options: PublicationOptions(type: type, history: history), at: pair.now)
  }

  /// What the first machine said to an inquiry of the second.
  private func survey(_ pair: Pair, _ inquiry: SubscriptionID) throws -> EndpointMachine.TopicSurvey {
    try #require(pair.machines[1].survey(inquiry, at: pair.now).first { $0.id == EndpointID(1) })
  }

  @Test func anInquiryTellsTopicsAndNothingElse() throws {
    let pair = Pair()
    let typed = try advertise(pair, "home/kitchen", type: "Celsius")
    let untyped = try advertise(pair, "home/cellar")
    _ = try advertise(pair, "garden")
    let inquiry = try pair.machines[1].inquire(about: "home/#", at: pair.now)
    #expect(!pair.machines[1].isAnswered(inquiry))
    pair.settle()
    #expect(pair.machines[1].isAnswered(inquiry))
    _ = try advertise(pair, "home/later", type: "Kelvin")
    pair.settle()
    for publication in [typed, untyped] {
      #expect(pair.machines[0].matchedSubscribers(of: publication) == 0)
      try pair.publish([1, 2, 3], on: publication)
    }
    pair.settle()
    let survey = try survey(pair, inquiry)
    #expect(survey.answers.map(\.topic) == ["home/kitchen", "home/cellar", "home/later"])
    #expect(survey.answers.map(\.type) == ["Celsius", nil, "Kelvin"])
    #expect(survey.answers.allSatisfy { $0.origin == nil })
    #expect(survey.isPresent && survey.omitted == 0 && survey.hasToldSubscriptions)
    // Neither of the two reports a mistake, and no data is sent.
    for event in pair.events[0] + pair.events[1] {
      if case .typeMismatch = event { Issue.record("\(event)") }
    }
    #expect(pair.received[1].isEmpty && pair.machines[1].inboundStreams == 2)
    #expect(pair.events[1].contains { if case .inquiryAnswered(inquiry, EndpointID(1)) = $0 { true } else { false } })
  }

  @Test func answersTellWhatIsPublishedAndKept() throws {
    let pair = Pair()
    let kept = try advertise(pair, "kept", history: .last(3))
    let live = try advertise(pair, "live")
    for number in 0..<10 {
      try pair.publish(pattern(100 + number, seed: number), on: kept)
      try pair.publish(pattern(50, seed: number), on: live)
    }
    let first = try pair.machines[1].inquire(about: "#", at: pair.now)
    pair.settle()
    let before = try survey(pair, first).answers
    #expect(before[0].history == .last(3) && before[1].history == HistoryPolicy.none)
    let held = try #require(before[0].held)
    #expect(held.first == 7 && held.end == 10 && held.count == 3 && before[1].held == nil)
    #expect((107 + 108 + 109..<400).contains(held.bytes), "\(held.bytes) bytes with the headers of three units")
    #expect(before[0].published == PublishedMessages(messages: 10, bytes: 1_045))
    #expect(before[1].published == PublishedMessages(messages: 10, bytes: 500))
    // A second inquiry tells how much it has become; the first one stays as it was.
    try pair.publish(pattern(50, seed: 1), on: live)
    let second = try pair.machines[1].inquire(about: "live", at: pair.now)
    pair.settle()
    let after = try survey(pair, second).answers
    #expect(after.map(\.published) == [PublishedMessages(messages: 11, bytes: 550)])
    #expect(after[0].arrivedAt > before[0].arrivedAt)
    #expect(try survey(pair, first).answers == before)
  }

  @Test func anInquiryThatHasEndedIsForgotten() throws {
    let pair = Pair()
    _ = try advertise(pair, "t")
    let inquiry = try pair.machines[1].inquire(about: "#", at: pair.now)
    pair.settle()
    pair.machines[1].unsubscribe(inquiry, at: pair.now)
    _ = try advertise(pair, "u")
    pair.settle()
    #expect(pair.machines[1].topics.inquiries.isEmpty)
    #expect(pair.machines[1].survey(inquiry, at: pair.now).isEmpty)
    #expect(pair.machines[0].sessions.values.allSatisfy { $0.subscriptions.isEmpty })
  }

  /// A publisher that has gone has said something before.
  @Test func whoLeavesIsStillTold() throws {
    let pair = Pair()
    _ = try advertise(pair, "t")
    let inquiry = try pair.machines[1].inquire(about: "#", at: pair.now)
    pair.settle()
    pair.machines[1].removeSession(with: pair.peer(of: 1), reason: .expired, at: pair.now)
    let survey = try survey(pair, inquiry)
    #expect(!survey.isPresent && survey.name == "endpoint-1" && survey.answers.map(\.topic) == ["t"])
    #expect(pair.machines[1].isAnswered(inquiry))
  }

  @Test func whatIsLeftOutIsSaid() throws {
    let pair = Pair { $0.topics.mismatchesPerSecond = 1 }
    for number in 0..<30 { _ = try advertise(pair, "t\(number)") }
    let inquiry = try pair.machines[1].inquire(about: "#", at: pair.now)
    pair.settle()
    let survey = try survey(pair, inquiry)
    #expect(survey.answers.count == 10 && survey.omitted == 20)
    // Who only asks makes no mistake.
    #expect(pair.machines[0].inbox.limits[.mismatchesPerSecond] == 0)
  }

  @Test func anEndpointTellsItselfWhatItHas() throws {
    let pair = Pair()
    let inquiry = try pair.machines[0].inquire(about: "t/+", at: pair.now)
    _ = try advertise(pair, "t/own", type: "T")
    _ = try pair.machines[0].subscribe("t/#", options: SubscriptionOptions(type: "U"), at: pair.now)
    pair.settle()
    let own = try #require(pair.machines[0].survey(inquiry, at: pair.now).first)
    #expect(own.id == EndpointID(1) && own.isPresent && own.omitted == 0)
    #expect(own.answers.map(\.topic) == ["t/own"] && own.answers.map(\.type) == ["T"])
    #expect(own.subscriptions.map(\.filter) == ["t/#"])
  }

  @Test func filtersThatCoverOthers() {
    for (filter, other) in [
      ("#", "a/b"), ("#", "+/b/#"), ("#", "#"), ("a/#", "a"), ("a/#", "a/+/c"), ("a/#", "a/#"), ("a/#", "a/b/#"),
      ("+/b", "a/b"), ("+/+", "a/+"), ("a/b", "a/b"), ("$a/#", "$a/+"),
    ] {
      #expect(TopicName.covers(filter, other), "\(filter) \(other)")
    }
    for (filter, other) in [
      ("+", "#"), ("a/+", "a/#"), ("a/#", "#"), ("a/#", "+/b"), ("a/b", "a/+"), ("+/b", "+/+"), ("+", "a/b"),
      ("#", "$a/#"), ("a/+/c", "a/#"), ("a/b", "a"),
    ] {
      #expect(!TopicName.covers(filter, other), "\(filter) \(other)")
    }
  }
}
