import GlueModel

extension Model {
  /// A value of a `Codable` type at a path and below: its properties are the map's paths, its lists and single values are values.
  ///
  /// - Parameters:
  ///   - path: Where; `nil`: the whole model.
  ///   - type: What to make of it.
  /// - Returns: The value; `nil` if there is nothing.
  /// - Throws: ``ModelError/invalidPath(_:problem:)``; `DecodingError` if what is there is no such value.
  public func read<Value: Decodable>(_ path: String? = nil, as type: Value.Type) throws -> Value? {
    try read(path).map { try ModelDecoder().decode(type, from: $0) }
  }

  /// Writes a value of a `Codable` type to a path and below, in one transaction. What is there already and the same is not written again;
  /// what is there and not in the value is removed.
  ///
  /// - Throws: ``ModelError``; `EncodingError` if the value has no such form. Nothing has changed then.
  public func write(_ value: some Encodable, to path: String) throws {
    let node = try ModelEncoder().encode(value)
    let path = try ModelPath(path)
    try link.change { (machine, time) throws(ModelError) in
      try machine.apply(machine.document.edits(writing: node, at: path), at: time)
    }
  }
}
