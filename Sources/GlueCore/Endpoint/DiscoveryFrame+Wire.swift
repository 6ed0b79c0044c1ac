extension DiscoveryFrame {
  /// Decodes a frame of the discovery layer; nil for those that are none.
  init?(_ type: FrameType, _ frame: RawFrame) throws(WireError) {
    switch type {
    case .announce: self = .announce(try frame.decode())
    case .challenge: self = .challenge(token: try frame.decode(Challenge.self).token)
    case .answer:
      let answer = try frame.decode(Answer.self)
      self = .answer(token: answer.token, incarnation: answer.incarnation)
    case .welcome: self = .welcome(try frame.decode())
    case .clash: self = .clash(try frame.decode())
    case .pad, .bye, .ack, .groupAck, .mtuProbe, .mtuReply, .relay, .data, .status, .heartbeat, .gap: return nil
    }
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .announce(let announcement): writer.frame(.announce, announcement)
    case .challenge(let token): writer.frame(.challenge, Challenge(token: token))
    case .answer(let token, let incarnation): writer.frame(.answer, Answer(token: token, incarnation: incarnation))
    case .welcome(let welcome): writer.frame(.welcome, welcome)
    case .clash(let clash): writer.frame(.clash, clash)
    }
  }
}
