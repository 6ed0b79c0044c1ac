import GlueCore

extension Delta {
  /// The canonical encoding.
  public func encoded() -> [UInt8] { fatalError() }
  /// The delta of an encoding. Total: any bytes give a delta or an error.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) { fatalError() }
  /// The same in parts, each a delta of its own of at most so many encoded bytes where single entries are not larger. They may be merged in
  /// any order, with the same result; a generation is in the last part, which must then be merged last. Until all are merged, transactions
  /// may be seen in part.
  public func parts(ofBytes bytes: Int) -> [Delta] { fatalError() }
  /// Parts made one again.
  public init(joining parts: [Delta]) { fatalError() }
}

extension CausalContext {
  /// The canonical encoding.
  public func encoded() -> [UInt8] { fatalError() }
  /// The context of an encoding. Total.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) { fatalError() }
}
