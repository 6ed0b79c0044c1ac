import GlueCore

/// Since when links and hosts have had no trouble: bounds on time hold only where nothing is wrong.
struct Soundness {
  private let count: Int
  /// When trouble was last seen; nil never, far in the future while it lasts.
  private var hosts: [Timestamp?]
  private var holds: [Int]
  private var links: [Timestamp?]
  private var isBroken: [Bool]

  init(hosts count: Int) {
    self.count = count
    hosts = Array(repeating: nil, count: count)
    holds = Array(repeating: 0, count: count)
    links = Array(repeating: nil, count: count * count)
    isBroken = Array(repeating: false, count: count * count)
  }

  mutating func touch(host: Int, at now: Timestamp) { hosts[host] = now }
  mutating func hold(host: Int) { holds[host] += 1 }
  mutating func release(host: Int, at now: Timestamp) {
    holds[host] = max(0, holds[host] - 1)
    hosts[host] = now
  }

  mutating func update(from network: SimulatedNetwork, at now: Timestamp) {
    for from in 0..<count {
      let host = network[from]
      let isHostSound = host.bandwidth == nil && host.receiveBufferBytes >= 200_000 && host.interfaceBytes >= 1_472
      for to in 0..<count where to != from {
        let index = from * count + to
        let wasBroken = isBroken[index]
        isBroken[index] = !network[from, to].isSound || !isHostSound
        if wasBroken || isBroken[index] { links[index] = now }
      }
    }
  }

  func isSound(_ a: Int, _ b: Int, at now: Timestamp, grace: Nanoseconds) -> Bool {
    func isOld(_ time: Timestamp?) -> Bool { time.map { now.since($0) > grace } ?? true }
    for host in [a, b] {
      guard holds[host] == 0, isOld(hosts[host]) else { return false }
    }
    guard a != b else { return true }
    for index in [a * count + b, b * count + a] {
      guard !isBroken[index], isOld(links[index]) else { return false }
    }
    return true
  }
}

/// The longest times that datagrams were under way between hosts lately.
struct Transits {
  /// How long one is remembered; longer than any lifetime in a run.
  private static let memory = Nanoseconds.seconds(15)

  private let count: Int
  /// Falling times, the oldest first: each is the longest since it arrived.
  private var longest: [[(at: Timestamp, span: Nanoseconds)]]

  init(hosts count: Int) {
    self.count = count
    longest = Array(repeating: [], count: count * count)
  }

  mutating func note(from: Int, to: Int, _ span: Nanoseconds, at now: Timestamp) {
    let index = from * count + to
    while let last = longest[index].last, last.span <= span { longest[index].removeLast() }
    longest[index].append((now, span))
    if longest[index].count > 8, let first = longest[index].first, now.since(first.at) > Self.memory {
      longest[index].removeFirst()
    }
  }

  func longest(from: Int, to: Int, at now: Timestamp) -> Nanoseconds {
    longest[from * count + to].first { now.since($0.at) <= Self.memory }?.span ?? .zero
  }
}
