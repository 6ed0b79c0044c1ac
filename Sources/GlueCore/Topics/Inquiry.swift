import OrderedCollections

/// What an endpoint says of one stream, as the answer to an inquiry (docs/protocol.md §7, MISMATCH).
package struct TopicAnswer: Hashable, Sendable {
  package var topic: String
  /// Nil for none.
  package var type: String?
  /// Whose stream it is; nil if it is that of the endpoint which answers.
  package var origin: StreamOrigin?
  /// What is kept of it; nil if that was not said.
  package var history: HistoryPolicy?
  /// What the endpoint which answers has of it for those who come later; nil if that is nothing.
  package var held: HeldMessages?
  /// What was published of it so far; nil if that was not said.
  package var published: PublishedMessages?
  /// When the answer arrived.
  package var arrivedAt: Timestamp
}

/// The answers of one life of an endpoint to an inquiry.
struct InquiryAnswers {
  struct Key: Hashable {
    var topic: TopicKey
    var origin: StreamOrigin?
  }

  var name: String
  var answers: OrderedDictionary<Key, TopicAnswer> = [:]
  /// How many topics it left out; nil as long as it has not said that these are all.
  var omitted: UInt64?
}

/// An inquiry of this endpoint: who said what.
struct Inquiry {
  struct Respondent: Hashable {
    var id: EndpointID
    var incarnation: Incarnation
  }

  private(set) var respondents: OrderedDictionary<Respondent, InquiryAnswers> = [:]
  /// What counts against the limit: answers, and those who gave them.
  private var count = 0

  subscript(peer: Respondent) -> InquiryAnswers? { respondents[peer] }

  /// Takes note of an answer. Returns whether there was room for it.
  mutating func note(_ answer: TopicAnswer, of peer: PeerInfo, limit: Int) -> Bool {
    let key = InquiryAnswers.Key(topic: TopicKey(answer.topic), origin: answer.origin)
    let respondent = Respondent(id: peer.id, incarnation: peer.incarnation)
    if respondents[respondent]?.answers[key] == nil {
      guard count < limit else { return false }
      count += 1
    }
    respondents[respondent, default: InquiryAnswers(name: peer.name)].answers[key] = answer
    return true
  }

  /// Takes note that a peer has said all there is, but for so many topics that it left out. Returns whether there was room for it.
  mutating func noteEnd(omitted: UInt64, of peer: PeerInfo, limit: Int) -> Bool {
    let respondent = Respondent(id: peer.id, incarnation: peer.incarnation)
    if respondents[respondent]?.omitted == nil {
      guard count < limit else { return false }
      count += 1
    }
    respondents[respondent, default: InquiryAnswers(name: peer.name)].omitted = omitted
    return true
  }
}
