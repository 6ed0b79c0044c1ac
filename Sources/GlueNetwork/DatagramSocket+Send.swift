import CGlueNetwork
import GlueAddress

extension DatagramSocket {
  /// The most datagrams that one message carries (older Linux kernels allow 64, newer ones 128).
  static let maximumSegments = 64
  /// The largest UDP payload over IPv4, in bytes: 65,535 less the IP and UDP headers. IPv6 would take 20 bytes more.
  public static let maximumDatagramBytes = 65_507

  /// Sends the batch's datagrams in order, without waiting.
  ///
  /// Consecutive datagrams of equal size to one destination (the last may be shorter) leave as one where the system can
  /// (GSO), the others several per system call. Every datagram is tried, unless the socket's buffer fills up or
  /// ``SendBatch/deadline`` passes: then the result says where to go on. The batch stays as it is; empty it when done.
  ///
  /// - Parameters:
  ///   - batch: The datagrams.
  ///   - index: The datagram to start with, see ``SendResult/nextIndex``.
  ///   - end: The index behind the last datagram to send, see ``SendBatch/endOfFamily(from:)``; by default all are sent.
  /// - Returns: How many went, and which were refused and why.
  public func send(_ batch: SendBatch, startingAt index: Int = 0, upTo end: Int? = nil) -> SendResult {
    let end = end ?? batch.count
    precondition(
      index >= 0 && index <= end && end <= batch.count, "no datagrams \(index)..<\(end) in a batch of \(batch.count)")
    var result = SendResult(startingAt: index)
    let isOpen: Void? = descriptor.use { number in
      while result.nextIndex < end, !result.isBlocked, !result.isOverdue {
        let segments = segmentationWorks.load(ordering: .relaxed) ? Self.maximumSegments : 1
        let messageCount = batch.prepareMessages(
          from: result.nextIndex, upTo: end, maximumSegments: segments, source: boundV4Address)
        sendMessages(messageCount, of: batch, on: number, result: &result)
      }
    }
    if isOpen == nil {
      result.fail(end - index, with: .closed)
    }
    return result
  }

  /// The IPv4 address that the socket is bound to; 0 if it is bound to the wildcard or to IPv6.
  private var boundV4Address: UInt32 {
    localAddress.ip.family == .v4 ? UInt32(truncatingIfNeeded: localAddress.ip.low) : 0
  }

  /// Sends prepared messages until all were tried, the buffer is full, time is up, or runs have to be cut anew.
  private func sendMessages(_ messageCount: Int, of batch: SendBatch, on number: CInt, result: inout SendResult) {
    var next = 0
    while next < messageCount {
      guard batch.isDue else { return result.isOverdue = true }
      let sent = cglue_send(number, batch.messages + next, CUnsignedInt(messageCount - next))
      if sent > 0 {
        for index in next..<(next + Int(sent)) { result.succeed(batch.runLengths[index]) }
        next += Int(sent)
        continue
      }
      // The first of the messages failed; the error of a later one comes up when it is the first.
      let code = SystemErrorCode(rawValue: sent == 0 ? SystemErrorCode.noBufferSpace.rawValue : -sent)
      let runLength = batch.runLengths[next]
      if code == .wouldBlock {
        result.isBlocked = true
        return
      }
      next += 1
      if runLength > 1, code.mayRefuseSegmentation {
        let isKernelAtFault = sendOneByOne(runLength, of: batch, on: number, result: &result)
        if isKernelAtFault {
          segmentationWorks.store(false, ordering: .relaxed)
          return
        }
        if result.isBlocked || result.isOverdue { return }
      } else {
        result.fail(runLength, with: code)
      }
    }
  }

  /// Sends a run that was refused as a whole datagram by datagram.
  ///
  /// - Returns: Whether its first datagram, the largest, passed by itself: then the run was refused for being a run, not
  ///   for the size of its datagrams.
  private func sendOneByOne(_ count: Int, of batch: SendBatch, on number: CInt, result: inout SendResult) -> Bool {
    let first = result.nextIndex
    var isKernelAtFault = false
    while result.nextIndex < first + count {
      guard batch.isDue else {
        result.isOverdue = true
        return isKernelAtFault
      }
      let index = result.nextIndex
      batch.prepareMessage(SendBatch.spareMessage, from: index, runLength: 1, source: boundV4Address)
      let sent = cglue_send(number, batch.messages + SendBatch.spareMessage, 1)
      let code = SystemErrorCode(rawValue: -sent)
      if sent > 0 {
        isKernelAtFault = isKernelAtFault || index == first
        result.succeed(1)
      } else if code == .wouldBlock {
        result.isBlocked = true
        return isKernelAtFault
      } else {
        result.fail(1, with: code)
      }
    }
    return isKernelAtFault
  }
}

extension SendResult {
  fileprivate mutating func succeed(_ count: Int) {
    sentCount += count
    nextIndex += count
  }

  fileprivate mutating func fail(_ count: Int, with code: SystemErrorCode) {
    for index in nextIndex..<(nextIndex + count) { failures.append(Failure(datagram: index, code: code)) }
    nextIndex += count
  }
}

extension SendBatch {
  /// Cuts datagrams from `index` up to `limit` into runs and fills in one message for each; returns the number of messages.
  func prepareMessages(from index: Int, upTo limit: Int, maximumSegments: Int, source: UInt32) -> Int {
    var index = index
    var messageCount = 0
    while index < limit, messageCount < Self.messagesPerCall {
      let runLength = runLength(from: index, upTo: limit, maximumSegments: maximumSegments)
      prepareMessage(messageCount, from: index, runLength: runLength, source: source)
      runLengths[messageCount] = runLength
      index += runLength
      messageCount += 1
    }
    return messageCount
  }

  /// Fills in one message for `runLength` datagrams from `index` on.
  func prepareMessage(_ message: Int, from index: Int, runLength: Int, source: UInt32) {
    let first = datagrams[index]
    let last = datagrams[index + runLength - 1]
    var address = cglue_address(first.destination)
    let nameBytes = cglue_address_encode(&address, names + message)
    let control = controls + message * Int(CGLUE_SEND_CONTROL_BYTES)
    let controlBytes = cglue_message_control(
      control, first.destination.ip.family.rawValue, first.interfaceIndex, source,
      runLength > 1 ? UInt16(first.byteCount) : 0)
    vectors[message] = iovec(
      iov_base: buffer.baseAddress! + first.offset, iov_len: last.offset + last.byteCount - first.offset)
    cglue_message_prepare(messages + message, names + message, nameBytes, vectors + message, control, controlBytes)
  }

  /// How many datagrams from `index` on can leave as one: equal destination and size, the last may be shorter.
  private func runLength(from index: Int, upTo limit: Int, maximumSegments: Int) -> Int {
    let first = datagrams[index]
    guard first.byteCount > 0 else { return 1 }
    var total = first.byteCount
    var end = index + 1
    while end < limit, end - index < maximumSegments {
      let next = datagrams[end]
      guard next.byteCount > 0, next.byteCount <= first.byteCount,
        total + next.byteCount <= DatagramSocket.maximumDatagramBytes,
        next.destination == first.destination, next.interfaceIndex == first.interfaceIndex
      else { break }
      total += next.byteCount
      end += 1
      if next.byteCount < first.byteCount { break }
    }
    return end - index
  }
}
