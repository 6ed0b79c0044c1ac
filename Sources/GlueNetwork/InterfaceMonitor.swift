import CGlueNetwork

/// Tells that something about the network interfaces has changed: one came or went, got or lost its link, an address or a
/// route. What changed is found by asking ``NetworkInterface/all()`` again.
///
/// Add it to a ``Poller``; when it is readable, call ``takeChanges()``.
public final class InterfaceMonitor: Sendable {
  let descriptor: Descriptor

  /// Starts to watch.
  ///
  /// - Throws: ``NetworkError`` if the system does not let us.
  public init() throws(NetworkError) {
    descriptor = Descriptor(
      try require(cglue_changes_open(), "watch", "network interfaces", expected: "a system that reports their changes"))
  }

  /// Whether anything has changed since the last call. Does not wait. One cause can show as several changes within
  /// milliseconds.
  public func takeChanges() -> Bool {
    (descriptor.use { cglue_changes_drain($0) } ?? 0) > 0
  }
}
