import CGlueNetwork

/// Names the calling thread, for debuggers and process lists.
///
/// - Parameter name: At most 15 bytes; Linux refuses longer ones.
public func setCurrentThreadName(_ name: String) {
  cglue_thread_name(name)
}
