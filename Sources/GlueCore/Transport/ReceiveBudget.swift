/// The memory that all streams of an endpoint share on the receiving side: large messages under assembly, and what waits for
/// its turn (docs/protocol.md §10).
///
/// A large message is begun only when its whole size is set aside, so that what is begun can be finished. Who finds no room
/// waits in line, and is granted it by ``grantNext()``:
///
///     nothing ── reserve: room ──▶ reserved ── release ──▶ nothing
///     nothing ── reserve: no room ──▶ waiting ── grantNext ──▶ reserved
///     waiting ── leave ──▶ nothing
final class ReceiveBudget {
  /// Messages up to this need no reservation: a stream holds at most one of them, and there are limits on streams.
  static let exemptBytes = 64 << 10

  private let assemblyLimit: Int
  private let reorderLimit: Int
  private var reserved = 0
  private var waiting: [(stream: InboundStream, bytes: Int)] = []
  let spares = SpareBuffers()
  /// Bytes in the reorder buffers of all streams.
  var reordered = 0

  init(assemblyLimit: Int, reorderLimit: Int) {
    self.assemblyLimit = assemblyLimit
    self.reorderLimit = reorderLimit
  }

  var hasWaiting: Bool { !waiting.isEmpty }

  /// Whether so many more bytes may wait for their turn.
  func hasReorderRoom(for bytes: Int) -> Bool { reordered + bytes <= reorderLimit }

  /// Sets memory aside for a message. One message always may, however large, and no peer takes more than half unless by one
  /// message: so there is progress for everybody.
  func reserve(_ bytes: Int, of session: Session) -> Bool {
    guard waiting.isEmpty, fits(bytes), isWithinQuota(bytes, session) else { return false }
    take(bytes, session)
    return true
  }

  func wait(_ stream: InboundStream, for bytes: Int) { waiting.append((stream, bytes)) }

  func release(_ bytes: Int, of session: Session) {
    reserved -= bytes
    session.reservedBytes -= bytes
  }

  /// Lets go of whoever waits.
  func abandon() { waiting = [] }

  func leave(_ stream: InboundStream) { waiting.removeAll { $0.stream === stream } }

  /// Reserves for the first in line, if there is room now. Who only exceeds its peer's share lets others pass.
  func grantNext() -> (stream: InboundStream, bytes: Int)? {
    for (index, (stream, bytes)) in waiting.enumerated() {
      guard fits(bytes) else { return nil }
      guard isWithinQuota(bytes, stream.session) else { continue }
      take(bytes, stream.session)
      return waiting.remove(at: index)
    }
    return nil
  }

  private func fits(_ bytes: Int) -> Bool { reserved == 0 || reserved + bytes <= assemblyLimit }

  private func isWithinQuota(_ bytes: Int, _ session: Session) -> Bool {
    session.reservedBytes == 0 || session.reservedBytes + bytes <= assemblyLimit / 2
  }

  private func take(_ bytes: Int, _ session: Session) {
    reserved += bytes
    session.reservedBytes += bytes
  }
}
