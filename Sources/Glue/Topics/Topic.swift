/// A topic whose messages are values of one Swift type.
///
/// ```swift
/// struct Temperature: Codable { var celsius: Double }
/// let kitchen = Topic<Temperature>("home/kitchen")
/// ```
public struct Topic<Value: Codable & Sendable>: Sendable {
  /// The topic's name; where it is used to subscribe, it may be a filter with `+` and `#`.
  public let name: String
  /// The topic's type, which both ends must agree on.
  public let type: String
  /// How values become payloads.
  public let coding: any PayloadCoding

  /// A topic.
  ///
  /// - Parameters:
  ///   - name: Its name, 1 … 256 bytes.
  ///   - type: Its type. By default the name of the Swift type, without its module.
  ///   - coding: How values become payloads. By default JSON.
  public init(_ name: String, type: String? = nil, coding: any PayloadCoding = JSONCoding()) {
    self.name = name
    self.type = type ?? String(describing: Value.self)
    self.coding = coding
  }
}
