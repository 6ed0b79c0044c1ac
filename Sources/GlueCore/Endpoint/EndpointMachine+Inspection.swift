/// What simulations and tests look at beyond the public questions.
extension EndpointMachine {
  /// Entries kept for endpoints that are not peers: challenges about to be sent, handshakes and claims under way.
  package var unprovenEntries: Int { discovery.pendingChallenges.count + discovery.handshakes.count }
  /// The most that ``unprovenEntries`` may be.
  package var unprovenEntriesCap: Int {
    configuration.discovery.maximumPendingChallenges + configuration.discovery.maximumHandshakes
  }
  /// Streams of all peers towards this endpoint.
  package var inboundStreams: Int { sessions.values.reduce(0) { $0 + $1.inbound.count } }
  /// Publications of this endpoint, withdrawn ones that are not acknowledged yet included.
  package var openPublications: Int { topics.publications.count }
}
