import GlueCore
import GlueSimulation
import Testing

/// What endpoints say of those that are not there.
@Suite(.apart) struct InquiryScenarios {
  /// A publisher dies, comes back and dies again: whoever asks later is told what is held of each life of it, and by whom.
  @Test func whatIsHeldOfTheDeadIsTold() throws {
    let scenario = Scenario(hosts: 4, topics: [SimulatedTopic("t", history: .last(100))], seed: 61)
    let holders = try (1...2).map { host in try scenario.start(host, subscribes: ["#"]) }
    var lives: [Incarnation] = []
    for count in [20, 30] {
      let publisher = try scenario.start(0, publishes: [0])
      lives.append(publisher.machine.incarnation)
      scenario.run(.seconds(2))
      scenario.publish(count, from: publisher, bytes: 100)
      scenario.run(.seconds(1))
      scenario.simulation.end(publisher)
      scenario.run(.seconds(8))
    }
    let asker = try scenario.start(3)
    let inquiry = try asker.machine.inquire(about: "t", at: asker.now)
    scenario.run(.seconds(5), until: { asker.machine.survey(inquiry, at: asker.now).count == 3 })
    scenario.run(.seconds(5), until: { asker.machine.isAnswered(inquiry) })
    let surveys = asker.machine.survey(inquiry, at: asker.now)
    #expect(surveys.dropFirst().map(\.id) == holders.map(\.machine.configuration.id))
    for survey in surveys.dropFirst() {
      #expect(survey.subscriptions.map(\.filter) == ["#"])
      let answers = survey.answers.sorted { ($0.held?.end ?? 0) < ($1.held?.end ?? 0) }
      #expect(answers.compactMap(\.origin?.incarnation) == lives)
      #expect(answers.compactMap(\.origin?.name) == ["endpoint-0", "endpoint-0"])
      #expect(answers.map(\.held?.end) == [20, 30] && answers.map(\.held?.first) == [0, 0])
      #expect(answers.allSatisfy { $0.history == .last(100) && $0.published == nil })
    }
    // It was told all this, and no message.
    #expect(asker.received.isEmpty && asker.machine.topicStreams == 0)
  }

  /// While their publisher is there, nobody tells what he holds of it: it would be the same of everybody.
  @Test func whatIsHeldOfTheLivingIsNot() throws {
    let scenario = Scenario(hosts: 3, topics: [SimulatedTopic("t", history: .last(100))], seed: 62)
    let publisher = try scenario.start(0, publishes: [0])
    let holder = try scenario.start(1, subscribes: ["#"])
    scenario.run(.seconds(2))
    scenario.publish(20, from: publisher, bytes: 100)
    scenario.run(.seconds(1))
    #expect(holder.machine.held("t", of: publisher.machine.configuration.id, publisher.machine.incarnation) == 0..<20)
    let asker = try scenario.start(2)
    let inquiry = try asker.machine.inquire(about: "#", at: asker.now)
    scenario.run(.seconds(5), until: { asker.peers.count == 2 })
    scenario.run(.seconds(5), until: { asker.machine.isAnswered(inquiry) })
    let surveys = asker.machine.survey(inquiry, at: asker.now)
    #expect(surveys.map(\.answers.count) == [0, 1, 0])
    #expect(surveys[1].answers.map(\.held?.count) == [20])
  }
}
