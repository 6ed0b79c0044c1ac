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
    while let unit = try reader.next() {
      let isLast = unit.flags.contains(.last)
      if unit.flags.contains(.first), firstTime == nil { firstTime = unit.timeMicroseconds }
      if position < next {
        position += 1
        if isLast { sequence += 1 }
        continue
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
      }
      position += 1
      next = position
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
