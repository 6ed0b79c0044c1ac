/// From units in order to messages.
extension InboundStream {
  /// Takes units that begin at or below `next`, in order.
  func process(
    _ header: DataHeader, units: UnsafeRawBufferPointer, owner: PayloadBuffer?, receivedAt: Timestamp, arrival: Arrival,
    into inbox: Inbox
  ) throws(WireError) {
    guard header.lag <= header.position else { throw .invalidValue(.lag) }
    var reader = UnitReader(units)
    var position = header.position
    var sequence = header.position - header.lag
    var firstTime: UInt64?
    // When the first message that begins in this frame was published, on the local clock.
    let reference = receivedAt.nanoseconds
      .subtractingSaturated(Nanoseconds.microseconds(header.ageMicroseconds).count)
      .subtractingSaturated(arrival.oneWayDelay.count)
    while true {
      if position >= next, assemblyRefusal == nil, !assembler.isAssembling, let (time, body) = reader.nextPlain() {
        let offset = Int64(bitPattern: time &- (firstTime ?? time))
        if firstTime == nil { firstTime = time }
        try takeWhole(
          body, at: position, sequence: sequence, time: time,
          publishedAt: Timestamp(nanoseconds: reference.advancedSaturated(microseconds: offset)), owner: owner,
          arrival: arrival, into: inbox)
        position = next
        sequence += 1
        continue
      }
      guard var unit = try reader.next() else { break }
      let isLast = unit.flags.contains(.last)
      let end = position + unit.fragments
      if unit.flags.contains(.first), firstTime == nil { firstTime = unit.timeMicroseconds }
      if position < next {
        guard end > next else {
          position = end
          if isLast { sequence += 1 }
          continue
        }
        unit.removeFirst(next - position)
        position = next
      }
      if unit.flags.contains(.first) {
        guard sequence >= nextSequence, !assembler.isAssembling else { throw .invalidValue(.sequence) }
        if sequence > nextSequence {
          sink.lose(nextSequence..<sequence, reason: jumpReason, by: self, at: arrival.now, into: inbox)
          nextSequence = sequence
        }
        if unit.totalBytes > UInt64(maximumMessageBytes) {
          assemblyRefusal = .tooLarge
          inbox.reach(.maximumMessageBytes, at: arrival.now)
        } else if !isLast, !reserve(Int(unit.totalBytes)) {
          inbox.reach(.reassemblyBytes, at: arrival.now)
          guard !isWaitingForBudget else { return }
          assemblyRefusal = jumpReason
        }
        let offset = Int64(bitPattern: unit.timeMicroseconds &- (firstTime ?? 0))
        assemblyPublishedAt = Timestamp(nanoseconds: reference.advancedSaturated(microseconds: offset))
        assemblyTime = unit.timeMicroseconds
        assemblyLifetime = unit.lifetimeMicroseconds.map { .microseconds($0) }
        assemblyPosition = position
        assemblyHasAttributes = unit.flags.contains(.attributes)
        if !isLast, assemblyRefusal == nil {
          begunEnd = position &+ Unit.fragments(bodyBytes: Int(unit.totalBytes))
        }
      }
      position = end
      next = end
      if assemblyRefusal == nil {
        switch try assembler.add(unit) {
        case .whole(let body):
          nextSequence = sequence + 1
          try pass(body, owner: owner, sequence: sequence, at: arrival.now, into: inbox)
        case .assembled(let buffer):
          nextSequence = sequence + 1
          endAssembly()
          try pass(buffer.bytes, owner: buffer, sequence: sequence, at: arrival.now, into: inbox)
        case .incomplete, .orphan:
          break
        }
      }
      if isLast {
        sequence += 1
        if nextSequence < sequence {
          sink.lose(
            nextSequence..<sequence, reason: assemblyRefusal ?? jumpReason, by: self, at: arrival.now, into: inbox)
          nextSequence = sequence
        }
        assemblyRefusal = nil
      }
    }
  }

  /// Takes a message that is in one unit, whose turn it is.
  @inline(__always)
  private func takeWhole(
    _ body: UnsafeRawBufferPointer, at position: UInt64, sequence: UInt64, time: UInt64, publishedAt: Timestamp,
    owner: PayloadBuffer?, arrival: Arrival, into inbox: Inbox
  ) throws(WireError) {
    guard sequence >= nextSequence else { throw .invalidValue(.sequence) }
    if sequence > nextSequence {
      sink.lose(nextSequence..<sequence, reason: jumpReason, by: self, at: arrival.now, into: inbox)
    }
    let units = Unit.fragments(bodyBytes: body.count)
    next = position + units
    nextSequence = sequence + 1
    guard body.count <= maximumMessageBytes else {
      inbox.reach(.maximumMessageBytes, at: arrival.now)
      return sink.lose(sequence..<sequence + 1, reason: .tooLarge, by: self, at: arrival.now, into: inbox)
    }
    let message = ArrivedMessage(
      sequence: sequence, position: position, units: units, body: body, owner: owner, hasAttributes: false, time: time,
      publishedAt: publishedAt, lifetime: nil)
    if let receivedStream {
      try receivedStream.take(message, at: arrival.now, into: inbox)
    } else {
      try sink.take(message, at: arrival.now, into: inbox)
    }
  }

  private func pass(
    _ body: UnsafeRawBufferPointer, owner: PayloadBuffer?, sequence: UInt64, at now: Timestamp, into inbox: Inbox
  ) throws(WireError) {
    let message = ArrivedMessage(
      sequence: sequence, position: assemblyPosition, units: next - assemblyPosition, body: body, owner: owner,
      hasAttributes: assemblyHasAttributes, time: assemblyTime, publishedAt: assemblyPublishedAt,
      lifetime: assemblyLifetime)
    try sink.take(message, at: now, into: inbox)
  }
}

extension UInt64 {
  func subtractingSaturated(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }

  /// Nanoseconds moved by a signed number of microseconds, within 0 … 2⁶⁴−1.
  func advancedSaturated(microseconds: Int64) -> UInt64 {
    let (span, overflow) = microseconds.magnitude.multipliedReportingOverflow(by: 1_000)
    let distance = overflow ? .max : span
    if microseconds < 0 { return subtractingSaturated(distance) }
    let (sum, tooFar) = addingReportingOverflow(distance)
    return tooFar ? .max : sum
  }
}
