/// What is kept of a stream goes to the store, and comes back from it at the next start.
extension KeptHistory {
  /// Whether the store does not know all that was kept or let go.
  var hasUnstored: Bool {
    guard let log = stream?.log else { return false }
    return log.firstSequence > cursor.keptFrom || log.endSequence > cursor.next
  }

  /// Adds to a batch what the store does not know yet: what was let go, then messages, until there are so many bytes.
  ///
  /// - Returns: Whether that was all.
  func addUnstored(
    to writes: inout [StoreWrite], _ bytes: inout Int, limit: Int, added: inout StoredRanges
  ) -> Bool {
    guard let log = stream?.log else { return true }
    guard !mustOutlast else { return false }
    let first = log.firstSequence
    // A value is let go when the next one is in the same batch or in one before.
    if policy != .retained { letGo(below: first, in: &writes, &bytes) }
    cursor.next = max(cursor.next, first)
    while cursor.next < log.endSequence {
      guard bytes < limit else { return false }
      if let message = log.stored(cursor.next) {
        if !cursor.isIntroduced {
          cursor.isIntroduced = true
          writes.append(.stream(facts))
        }
        writes.append(.message(message, of: hash))
        bytes += message.body.count + StoreQueue.writeOverhead
        if isOwed(message) { added.insert(cursor.next..<cursor.next + 1) }
      }
      cursor.next += 1
    }
    letGo(below: first, in: &writes, &bytes)
    return true
  }

  private func letGo(below first: UInt64, in writes: inout [StoreWrite], _ bytes: inout Int) {
    guard first > cursor.keptFrom else { return }
    cursor.keptFrom = first
    writes.append(.forget(hash, below: first))
    bytes += StoreQueue.writeOverhead
  }

  /// Whether a message is kept for its own sake, and not only as it lies between such that are. Only those are confirmed: the others
  /// go with those around them.
  private func isOwed(_ message: StoredMessage) -> Bool {
    policy != .untilExpiry || message.lifetimeMicroseconds != nil
  }

  /// Keeps messages that were loaded from the store, ascending, as if they had just come.
  func restore(_ messages: [LoadedMessage], at now: Timestamp) {
    cursor.isIntroduced = true
    cursor.keptFrom = messages.first?.message.sequence ?? 0
    for loaded in messages {
      let message = loaded.message
      message.body.withUnsafeBytes { body in
        _ = keep(
          ArrivedMessage(
            sequence: message.sequence, position: message.position,
            units: Unit.fragments(bodyBytes: body.count), body: body, owner: nil,
            hasAttributes: message.hasAttributes, time: message.timeMicroseconds, publishedAt: message.publishedAt,
            lifetime: message.lifetimeMicroseconds.map { .microseconds($0) }),
          at: now)
      }
      if isOwed(message) { cursor.stored.insert(message.sequence..<message.sequence + 1) }
    }
    cursor.next = sequences.upperBound
    cursor.stored.remove(below: sequences.lowerBound)
  }
}

extension SendLog {
  /// A message as it is stored; nil in a hole, and of one that is held in part only.
  fileprivate func stored(_ sequence: UInt64) -> StoredMessage? {
    let position = position(ofSequence: sequence)
    let (message, _, next) = message(at: position)
    guard !message.isHole, message.position == position,
      let arrived = arrived(message, sequence, at: position, next: next)
    else { return nil }
    return StoredMessage(
      sequence: sequence, position: position, timeMicroseconds: arrived.time,
      lifetimeMicroseconds: arrived.lifetime?.wholeMicroseconds, publishedAt: arrived.publishedAt,
      hasAttributes: arrived.hasAttributes, body: [UInt8](arrived.body))
  }
}
