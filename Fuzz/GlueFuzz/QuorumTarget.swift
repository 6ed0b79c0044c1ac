import GlueCore

/// Openings of a quorum model: see ``QuorumWorld``.
public struct QuorumTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "quorum"

  /// A target; it needs no corpus, since the openings' own messages are what is damaged.
  public init() {}

  /// A script: an even mix of all operations.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    for _ in 0..<(32 + generator.below(500)) { input.append(generator.byte()) }
  }

  /// Runs the script.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? { QuorumWorld(script: Script(input)).run() }
}
