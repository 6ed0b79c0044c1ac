/// Reads operations and their operands from bytes; zeros when they are used up.
struct Script {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset >= bytes.count }

  mutating func byte() -> Int {
    guard !isAtEnd else { return 0 }
    defer { offset += 1 }
    return Int(bytes[offset])
  }

  mutating func word() -> Int { byte() | byte() << 8 }
}
