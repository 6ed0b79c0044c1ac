import CGlueNetwork
import GlueAddress

/// A datagram as it was received. Its bytes are in the ``ReceiveBatch``, and valid until that is filled again.
public struct ReceivedDatagram {
  /// The payload.
  public let bytes: UnsafeRawBufferPointer
  /// Who sent it; replies go there.
  public let source: SocketAddress
  /// The ``NetworkInterface/index`` it came in by; 0 if unknown.
  public let interfaceIndex: UInt32
  /// The address it was sent to, which may be a multicast group or a broadcast address; `nil` if unknown.
  public let destination: IPAddress?
  /// When the kernel took it in, by ``MonotonicClock/wallNanoseconds()``; `nil` if unknown. The difference to now is how
  /// long it has waited in the socket's buffer.
  public let kernelReceiveTimeNanoseconds: UInt64?
}

/// Memory to receive datagrams into, allocated once.
///
/// The kernel may join several datagrams of one sender in one slot (GRO); they are single datagrams again here. A batch
/// is for one thread at a time.
public final class ReceiveBatch {
  /// The most messages that one call receives.
  public let slotCount: Int
  /// The size of each slot in bytes.
  public let slotBytes: Int

  // Exempt from the run-time exclusivity check, as in SendBatch.

  /// The number of datagrams received.
  @exclusivity(unchecked) public private(set) var count = 0
  /// How many messages were dropped, in this batch's life, because they did not fit their slot.
  @exclusivity(unchecked) public private(set) var truncatedCount: UInt64 = 0
  /// How many datagrams the last socket's full receive buffer has dropped since it was opened, modulo 2³²; grows only
  /// when a datagram is received after the loss. Zero where the system does not tell.
  @exclusivity(unchecked) public private(set) var queueDropCount: UInt32 = 0

  /// Where a datagram lies.
  private struct Entry {
    var slot: UInt32
    var offset: UInt32
    var byteCount: UInt32
  }

  let messages: UnsafeMutablePointer<cglue_message>
  private let receipts: UnsafeMutablePointer<cglue_receipt>
  private let buffer: UnsafeMutableRawPointer
  private let vectors: UnsafeMutablePointer<iovec>
  private let names: UnsafeMutablePointer<sockaddr_storage>
  private let controls: UnsafeMutableRawPointer
  @exclusivity(unchecked) private var entries: UnsafeMutablePointer<Entry>
  @exclusivity(unchecked) private var entryCapacity: Int
  @exclusivity(unchecked) private var usedSlots = 0

  /// An empty batch.
  ///
  /// - Parameters:
  ///   - slots: How many messages one call may receive. More mean fewer system calls; but memory beyond the processor's
  ///     second-level cache makes each of them slower, which 64 slots of 65,535 bytes are on common machines.
  ///   - slotBytes: The size of each slot; what is larger is dropped and counted. With
  ///     ``DatagramSocket/Options/receiveOffload`` it must be 65,535.
  public init(slots: Int = 16, slotBytes: Int = 65_535) {
    precondition(
      slots > 0 && slotBytes > 0 && slotBytes <= 1 << 20,
      "ReceiveBatch needs a slot of 1 to 1,048,576 bytes, got \(slots) of \(slotBytes)")
    slotCount = slots
    self.slotBytes = slotBytes
    let stride = (slotBytes + 63) & ~63
    buffer = .allocate(byteCount: slots * stride, alignment: 64)
    messages = .allocate(capacity: slots)
    receipts = .allocate(capacity: slots)
    vectors = .allocate(capacity: slots)
    names = .allocate(capacity: slots)
    controls = .allocate(byteCount: slots * Int(CGLUE_RECEIVE_CONTROL_BYTES), alignment: 16)
    entryCapacity = slots * DatagramSocket.maximumSegments
    entries = .allocate(capacity: entryCapacity)
    for slot in 0..<slots {
      vectors[slot] = iovec(iov_base: buffer + slot * stride, iov_len: slotBytes)
      cglue_message_prepare(
        messages + slot, names + slot, CUnsignedInt(MemoryLayout<sockaddr_storage>.size), vectors + slot,
        controls + slot * Int(CGLUE_RECEIVE_CONTROL_BYTES), Int(CGLUE_RECEIVE_CONTROL_BYTES))
    }
  }

  deinit {
    buffer.deallocate()
    messages.deallocate()
    receipts.deallocate()
    vectors.deallocate()
    names.deallocate()
    controls.deallocate()
    entries.deallocate()
  }

  /// A datagram, in the order of arrival.
  public subscript(index: Int) -> ReceivedDatagram {
    precondition(index >= 0 && index < count, "datagram \(index) of \(count)")
    let entry = entries[index]
    let receipt = receipts[Int(entry.slot)]
    let start = vectors[Int(entry.slot)].iov_base! + Int(entry.offset)
    return ReceivedDatagram(
      bytes: UnsafeRawBufferPointer(start: start, count: Int(entry.byteCount)),
      source: receipt.source.socketAddress ?? SocketAddress(ip: .anyV4, port: 0),
      interfaceIndex: receipt.interface_index,
      destination: receipt.destination.ip,
      kernelReceiveTimeNanoseconds: receipt.kernel_time == 0 ? nil : receipt.kernel_time)
  }

  /// Forgets what was received and gives every slot back to the kernel.
  func prepareToReceive() {
    for slot in 0..<usedSlots { cglue_message_rearm(messages + slot) }
    usedSlots = 0
    count = 0
  }

  /// Takes note of what the kernel filled in.
  func take(messageCount: Int) {
    usedSlots = messageCount
    queueDropCount = 0
    for slot in 0..<messageCount {
      let receipt = receipts + slot
      cglue_message_receipt(messages + slot, receipt)
      queueDropCount = max(queueDropCount, receipt.pointee.queue_drops)
      guard !receipt.pointee.is_truncated, receipt.pointee.source.family != 0 else {
        truncatedCount += 1
        continue
      }
      let total = receipt.pointee.byte_count
      let segment = receipt.pointee.segment_bytes
      var offset: UInt32 = 0
      repeat {
        let byteCount = segment == 0 ? total : min(segment, total - offset)
        append(Entry(slot: UInt32(slot), offset: offset, byteCount: byteCount))
        offset += byteCount
      } while offset < total
    }
  }

  private func append(_ entry: Entry) {
    if count == entryCapacity {
      let larger = UnsafeMutablePointer<Entry>.allocate(capacity: 2 * entryCapacity)
      larger.moveInitialize(from: entries, count: count)
      entries.deallocate()
      entries = larger
      entryCapacity *= 2
    }
    (entries + count).initialize(to: entry)
    count += 1
  }
}

/// Not to be shared between threads.
@available(*, unavailable)
extension ReceiveBatch: Sendable {}
