/// Never delivers bytes that were not published: what is delivered under a (publisher, topic, sequence) is what was
/// published under it, byte for byte.
package struct Integrity {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  private var digests: [StreamKey: [UInt64]] = [:]

  /// Nothing published yet.
  package init() {}

  /// A message was admitted with this sequence number. The numbers of a stream are consecutive.
  package mutating func published(_ stream: StreamKey, sequence: UInt64, digest: UInt64) -> String? {
    let expected = UInt64(digests[stream, default: []].count)
    guard sequence == expected else {
      return "life \(stream.publisher) numbered a message on topic \(stream.topic) \(sequence) instead of \(expected)"
    }
    digests[stream, default: []].append(digest)
    return nil
  }

  /// A message was delivered.
  package mutating func delivered(_ stream: StreamKey, sequence: UInt64, digest: UInt64) -> String? {
    checks += 1
    guard let published = digests[stream], sequence < UInt64(published.count) else {
      return "delivered \(sequence) of life \(stream.publisher), topic \(stream.topic), which was never published"
    }
    guard published[Int(sequence)] == digest else {
      return "delivered \(sequence) of life \(stream.publisher), topic \(stream.topic), with other bytes"
    }
    return nil
  }
}
