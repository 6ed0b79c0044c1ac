/// What happened so far, by name. Limits have theirs in ``LimitTally``.
struct Counters {
  var datagramsSent: UInt64 = 0
  var bytesSent: UInt64 = 0
  var datagramsReceived: UInt64 = 0
  var bytesReceived: UInt64 = 0
  var datagramsForeignNetwork: UInt64 = 0
  var datagramsMalformed: UInt64 = 0
  var datagramsOtherKey: UInt64 = 0
  var datagramsForged: UInt64 = 0
  var datagramsUnknownSession: UInt64 = 0
  var datagramsDuplicate: UInt64 = 0
  var datagramsUnproven: UInt64 = 0
  var framesMalformed: UInt64 = 0
  var framesUnknown: UInt64 = 0
  var framesMisplaced: UInt64 = 0
  var framesUnknownStream: UInt64 = 0
  var resetsSent: UInt64 = 0
  var messagesPublished: UInt64 = 0
  var messagesDelivered: UInt64 = 0
  var messagesLost: UInt64 = 0
  var messagesStored: UInt64 = 0
  var messagesSuperseded: UInt64 = 0
  var timesAhead: UInt64 = 0
  var duplicateFragments: UInt64 = 0
  var duplicateMessages: UInt64 = 0
  var lateFragments: UInt64 = 0
  var fragmentsRepeated: UInt64 = 0
  var bytesRepeated: UInt64 = 0
  var datagramsLost: UInt64 = 0
  var probeTimeouts: UInt64 = 0
  var pathFallbacks: UInt64 = 0
  var relaysSent: UInt64 = 0
  var relaysReceived: UInt64 = 0
  var relaysForwarded: UInt64 = 0
  var relaysDropped: UInt64 = 0
  var groupDatagramsSent: UInt64 = 0
  var groupsLeft: UInt64 = 0

  var list: [(name: String, value: UInt64)] {
    [
      ("datagrams_sent", datagramsSent), ("bytes_sent", bytesSent), ("datagrams_received", datagramsReceived),
      ("bytes_received", bytesReceived), ("datagrams_foreign_network", datagramsForeignNetwork),
      ("datagrams_malformed", datagramsMalformed), ("datagrams_other_key", datagramsOtherKey),
      ("datagrams_forged", datagramsForged), ("datagrams_unknown_session", datagramsUnknownSession),
      ("datagrams_duplicate", datagramsDuplicate), ("datagrams_unproven", datagramsUnproven),
      ("frames_malformed", framesMalformed),
      ("frames_unknown", framesUnknown), ("frames_misplaced", framesMisplaced),
      ("frames_unknown_stream", framesUnknownStream), ("resets_sent", resetsSent),
      ("messages_published", messagesPublished), ("messages_delivered", messagesDelivered),
      ("messages_lost", messagesLost), ("messages_stored", messagesStored),
      ("messages_superseded", messagesSuperseded), ("times_ahead", timesAhead),
      ("fragments_duplicate", duplicateFragments), ("messages_duplicate", duplicateMessages),
      ("fragments_late", lateFragments),
      ("fragments_repeated", fragmentsRepeated), ("bytes_repeated", bytesRepeated),
      ("datagrams_lost", datagramsLost), ("probe_timeouts", probeTimeouts),
      ("path_fallbacks", pathFallbacks), ("relays_sent", relaysSent), ("relays_received", relaysReceived),
      ("relays_forwarded", relaysForwarded), ("relays_dropped", relaysDropped),
      ("group_datagrams_sent", groupDatagramsSent), ("groups_left", groupsLeft),
    ]
  }
}

extension DiscoveryCounters {
  var list: [(name: String, value: UInt64)] {
    [
      ("announcements_sent", announcementsSent), ("challenges_sent", challengesSent), ("answers_sent", answersSent),
      ("welcomes_sent", welcomesSent), ("clashes_sent", clashesSent), ("answers_invalid", invalidAnswers),
      ("frames_undersized", undersized), ("clashes_ignored", ignoredClashes),
      ("endpoints_incompatible", incompatible),
    ]
  }
}
