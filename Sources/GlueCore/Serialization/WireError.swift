/// Why bytes are not a valid frame, unit, control message or attribute list.
///
/// A plain value without references, so that throwing it costs nothing on the packet path.
public enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The bytes end before the value does, or a declared length runs beyond them.
  case truncated
  /// A varint exceeds 64 bits or 10 bytes.
  case varintOverflow
  /// A text is not UTF-8.
  case invalidUTF8(WireField)
  /// A field has a value that the protocol does not allow.
  case invalidValue(WireField)
  /// A text, byte string or list exceeds the limit of docs/protocol.md §10.
  case tooLong(WireField, limit: Int)
  /// An unknown type of `0x80` and above, which must be understood.
  case mustUnderstand(type: UInt8)

  /// The reason in words.
  public var description: String {
    switch self {
    case .truncated: "the bytes end too early"
    case .varintOverflow: "a varint exceeds 64 bits"
    case .invalidUTF8(let field): "\(field.rawValue) is not UTF-8"
    case .invalidValue(let field): "\(field.rawValue) has an invalid value"
    case .tooLong(let field, let limit): "\(field.rawValue) exceeds the limit of \(limit)"
    case .mustUnderstand(let type): "type 0x\(String(type, radix: 16)) is unknown and must be understood"
    }
  }
}

/// The fields that a ``WireError`` can name.
public enum WireField: String, Sendable {
  case name
  case topic
  case filter
  case type
  case locators
  case locatorFamily = "locator family"
  case heard
  case attributes
  case attributeValue = "attribute value"
  case endpointID = "endpoint ID"
  case incarnation
  case session
  case clashKind = "clash kind"
  case gapCount = "count of GAP"
  case refused = "what is refused"
  case holdings, stored
  case hops
  case position
  case sequence
  case lag
  case end
  case missing
  case unitFlags = "unit flags"
  case unitLength = "unit length"
  case total
  case modelPath = "path in a model"
  case modelValue = "value in a model"
  case modelMessage = "message of a model"
  case modelDelta = "delta of a model"
  case quorumMessage = "message of a quorum"
}

/// Why a datagram is dropped before its frames are looked at. One counter for each case.
public enum DatagramError: Error, Hashable, CaseIterable, Sendable {
  /// Shorter than its header.
  case truncated
  /// The magic is another protocol's.
  case notGlue
  /// A version of the protocol that is not spoken here.
  case unknownVersion
  /// Flags are set that this version does not define.
  case unknownFlags
  /// A field of the header has a value that is not allowed.
  case invalid
  /// Relayed, which is reserved.
  case relayed
}
