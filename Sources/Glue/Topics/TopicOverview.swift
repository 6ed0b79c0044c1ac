/// What there is on the network: the topics, who publishes them, who wants them, and who holds what for those who come later.
/// ``Endpoint/topics(matching:measuringFor:timeout:)`` makes one.
public struct TopicOverview: Hashable, Sendable {
  /// A life of an endpoint.
  public struct Party: Hashable, Sendable, CustomStringConvertible {
    /// Its endpoint ID.
    public let id: EndpointID
    /// Its name.
    public let name: String
    /// Which life of it.
    public let incarnation: Incarnation

    /// For example `kitchen (17)`.
    public var description: String { "\(name) (\(id))" }
  }

  /// A topic, or the name in a subscription without wildcards that nobody publishes.
  public struct Topic: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// Who publishes it, or has published what others hold: those that are there first, then by endpoint ID.
    public let publishers: [Publisher]
    /// Whose subscriptions match its name, this endpoint's own among them, by endpoint ID.
    public let subscriptions: [Subscription]
    /// The types that it is published with, ascending; more than one is a mistake of somebody.
    public var types: [String] { Set(publishers.compactMap(\.type)).sorted() }
  }

  /// Who publishes a topic, or did.
  public struct Publisher: Hashable, Sendable {
    /// Who it is.
    public let party: Party
    /// Whether it is this endpoint or one of its peers now. Otherwise only what others hold is left of it.
    public let isPresent: Bool
    /// The topic's type as it says; `nil`: it has none.
    public let type: String?
    /// What is kept of it; `nil` if nobody said so.
    public let history: HistoryPolicy?
    /// Messages published so far, and bytes of their payloads and attributes; `nil` unless the publisher itself said so.
    public let published: PublishedMessages?
    /// How many messages it publishes per second, as measured; `nil` without a measurement.
    public let messagesPerSecond: Double?
    /// How many bytes of payloads and attributes it publishes per second, as measured; `nil` without a measurement.
    public let bytesPerSecond: Double?
    /// What it keeps itself for those who come later; `nil` if that is nothing, or it is not there to say so.
    public let kept: HeldMessages?
    /// Who else holds what of it. Endpoints tell this only while they do not see the publisher.
    public let holders: [Holder]
  }

  /// Who holds messages of a publisher that it does not see.
  public struct Holder: Hashable, Sendable {
    /// Who it is.
    public let party: Party
    /// What it holds.
    public let held: HeldMessages
  }

  /// A subscription of an endpoint.
  public struct Subscription: Hashable, Sendable {
    /// Whose it is.
    public let party: Party
    /// Its filter.
    public let filter: String
    /// The type that it wants; `nil`: any.
    public let type: String?

    /// Whether it gets what a publisher publishes on a topic that its filter matches.
    public func takes(_ publisher: Publisher) -> Bool { type == nil || type == publisher.type }
  }

  /// The topics that match the filter, by name.
  public let topics: [Topic]
  /// The subscriptions with wildcards that could match a topic of the filter, and match none there is.
  public let unmatched: [Subscription]
  /// How many endpoints were asked, without this one.
  public let peers: Int
  /// Peers that have not answered everything: they were slow, do not understand the question, or have more than they could tell.
  public let incomplete: [Party]
}
