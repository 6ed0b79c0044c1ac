/// Values in the order in which they were added, taken away at the front. What `Deque` does, without its checks for copies and the
/// reference counts of its storage: these cost some 90 instructions for each message.
struct Ring<Element: BitwiseCopyable>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>
  /// Room, a power of two, less one.
  private var mask: Int
  private var head = 0
  /// How many there are.
  private(set) var count = 0

  /// Room for this many is there from the beginning: many streams carry little.
  private static var firstRoom: Int { 8 }

  /// None.
  init() {
    mask = Self.firstRoom - 1
    base = .allocate(capacity: Self.firstRoom)
  }

  deinit { base.deallocate() }

  var isEmpty: Bool { count == 0 }
  var first: Element? { isEmpty ? nil : base[head] }

  /// One of them, from the front on.
  @inline(__always)
  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "\(index) of \(count)")
    return base[(head + index) & mask]
  }

  /// Adds one.
  @inline(__always)
  mutating func append(_ element: Element) {
    if count > mask { grow() }
    base[(head + count) & mask] = element
    count += 1
  }

  /// Takes so many away.
  mutating func removeFirst(_ number: Int) {
    precondition(number >= 0 && number <= count, "\(number) of \(count)")
    head = (head + number) & mask
    count -= number
  }

  @inline(never)
  private mutating func grow() {
    let room = (mask + 1) * 2
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: room)
    for index in 0..<count { larger[index] = base[(head + index) & mask] }
    base.deallocate()
    base = larger
    mask = room - 1
    head = 0
  }
}
