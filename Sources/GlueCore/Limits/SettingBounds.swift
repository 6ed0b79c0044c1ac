/// What a field of a configuration may hold.
package struct SettingBounds<Root> {
  /// The field's name.
  package let name: String
  /// The field.
  package let field: PartialKeyPath<Root>
  /// What is accepted, for an error message.
  package var expectation: String { describe() }
  /// Its value as text.
  package let text: (Root) -> String
  /// Whether its value is accepted.
  package let accepts: (Root) -> Bool
  private let describe: () -> String
  /// Brings it to the nearest accepted value.
  let clamp: (inout Root) -> Void

  init(_ name: String, _ field: WritableKeyPath<Root, Int>, _ accepted: ClosedRange<Int>) {
    self.init(name, field, accepted, prefix: "an integer from ") { "\($0)" }
  }

  init(_ name: String, _ field: WritableKeyPath<Root, Nanoseconds>, _ accepted: ClosedRange<Nanoseconds>) {
    self.init(name, field, accepted, prefix: "") { "\($0.duration)" }
  }

  private init<Value: Comparable>(
    _ name: String, _ field: WritableKeyPath<Root, Value>, _ accepted: ClosedRange<Value>, prefix: String,
    text: @escaping (Value) -> String
  ) {
    self.name = name
    self.field = field
    describe = { "\(prefix)\(text(accepted.lowerBound)) to \(text(accepted.upperBound))" }
    self.text = { text($0[keyPath: field]) }
    accepts = { accepted.contains($0[keyPath: field]) }
    clamp = { $0[keyPath: field] = min(max($0[keyPath: field], accepted.lowerBound), accepted.upperBound) }
  }
}

/// A configuration whose fields have bounds: within them nothing overflows, spins or stands still. Whoever is asked by a
/// program refuses other values (`Glue` does); the core itself, which has nobody to tell, takes the nearest good ones.
package protocol BoundedSettings {
  /// Every field that has bounds.
  static var bounds: [SettingBounds<Self>] { get }
}

extension BoundedSettings {
  /// With every field within its bounds.
  func clamped() -> Self {
    var result = self
    for field in Self.bounds { field.clamp(&result) }
    return result
  }
}
