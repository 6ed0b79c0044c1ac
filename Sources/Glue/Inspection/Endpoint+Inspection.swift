import GlueAddress
import GlueCore
import GlueNetwork

// What `glue doctor` looks at beyond the public questions. None of it is part of the library's interface.

/// A datagram that has arrived, as its header tells.
package struct SightedDatagram: Hashable, Sendable {
  /// What a header tells.
  package typealias Content = EndpointMachine.Sighting

  /// Where it came from.
  package var source: SocketAddress
  /// Whether it was sent to a group or a broadcast address.
  package var isGroup: Bool
  /// The system's number of the interface that it came in by.
  package var interface: UInt32
  /// What it is.
  package var content: Content
}

/// What an endpoint says of the topics that it publishes, wants and holds.
package typealias TopicSurvey = EndpointMachine.TopicSurvey

/// What is known of the path to a peer, and of what it wants.
package struct PeerInspection: Sendable {
  /// How many probes of a size were sent, and how many of them came back.
  package typealias Echoes = EchoProbes.Tally

  /// Who it is.
  package var peer: Peer
  /// Its announcement interval.
  package var interval: Duration
  /// Nil before anything was measured.
  package var roundTrip: Duration?
  /// By how much its wall clock is ahead of this endpoint's; nil if it has not told.
  package var clockLead: Duration?
  /// Whether it announces itself by multicast or broadcast.
  package var announcesToGroup: Bool
  /// Whether its announcements say that it hears this endpoint by multicast or broadcast.
  package var hearsUs: Bool
  /// Bytes of the largest datagram that is known to get there.
  package var pathBytes: Int
  /// Whether it has told all its subscriptions.
  package var hasToldSubscriptions: Bool
  package var subscriptions: [(filter: String, type: String?)]
  package var echoes: [Echoes]
  package var isMeasured: Bool

  init(_ inspected: EndpointMachine.PeerInspection) {
    let info = inspected.info
    peer = Peer(info)
    interval = .nanoseconds(Int64(clamping: info.interval.count))
    roundTrip = inspected.roundTrip.map { .nanoseconds(Int64(clamping: $0.count)) }
    clockLead = info.clockLeadMicroseconds.map { lead in
      // The announcement was on its way for about half a round trip.
      .microseconds(lead) + .nanoseconds(Int64(clamping: (inspected.roundTrip?.count ?? 0) / 2))
    }
    announcesToGroup = info.capabilities.contains(.announcesToGroup)
    hearsUs = inspected.hearsUs
    pathBytes = inspected.pathBytes
    hasToldSubscriptions = inspected.hasToldSubscriptions
    subscriptions = inspected.subscriptions
    echoes = inspected.echoes
    isMeasured = inspected.isMeasured
  }
}

extension Endpoint {
  /// The peers by endpoint ID; with what they subscribe to, which may be much, only if asked.
  package func inspectPeers(includingSubscriptions: Bool = false) -> [PeerInspection] {
    driver.lock.withLock { $0.machine.inspectPeers(includingSubscriptions: includingSubscriptions) }
      .map(PeerInspection.init)
  }

  /// Sends a peer probes that its transport answers, `count` of each size in bytes of UDP payload.
  package func measurePath(to peer: EndpointID, sizes: [Int], count: Int) {
    try? driver.submit { state, now in state.machine.measurePath(to: peer, sizes: sizes, count: count, at: now) }
  }

  /// Asks all peers, now and later, what there is that matches a filter; ``survey(_:)`` gives the answers. Nobody is sent any data
  /// for it, nor notices.
  package func inquire(about filter: String) throws(EndpointFailure) -> SubscriptionID {
    try driver.submit { (state, now) throws(EndpointFailure) in
      try state.checkOpen()
      do throws(EndpointError) {
        return try state.machine.inquire(about: filter, at: now)
      } catch {
        throw EndpointFailure(error)
      }
    }
  }

  /// What was answered to an inquiry so far: by this endpoint itself, then by the others.
  package func survey(_ inquiry: SubscriptionID) -> [TopicSurvey] {
    driver.lock.withLock { $0.machine.survey(inquiry, at: .now) }
  }

  /// Ends an inquiry.
  package func endInquiry(_ inquiry: SubscriptionID) {
    try? driver.submit { (state, now) in state.machine.unsubscribe(inquiry, at: now) }
  }

  /// What a datagram is that arrived elsewhere, for an endpoint with this one's network and keys.
  package func sight(_ datagram: UnsafeRawBufferPointer) -> SightedDatagram.Content {
    driver.lock.withLock { $0.machine.sight(datagram) }
  }

  /// Bytes of datagrams that may wait to be received: as many as the system has granted.
  package var grantedReceiveBufferBytes: Int { driver.coreConfiguration.receiveBufferBytes }

  /// Whether a topic matches a filter.
  package static func matches(filter: String, topic: String) -> Bool {
    TopicName.matches(filter: filter, topic: topic)
  }
}
