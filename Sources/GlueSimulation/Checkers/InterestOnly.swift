/// Data is sent only to endpoints that subscribed to it: on the wire, no DATA of a topic goes to a host that never wanted
/// it, nor, once the network is settled, to one that does not want it now.
package struct InterestOnly {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Want: Hashable {
    var host: Int
    var topic: Int
  }
  private var ever: Set<Want> = []
  private var now: [Want: Int] = [:]
  /// Hosts that ever wanted a topic.
  private var hosts: [Int: Set<Int>] = [:]

  /// Nobody wants anything.
  package init() {}

  /// An endpoint of a host subscribed to topics.
  package mutating func subscribed(host: Int, topics: [Int]) {
    for topic in topics {
      ever.insert(Want(host: host, topic: topic))
      hosts[topic, default: []].insert(host)
      now[Want(host: host, topic: topic), default: 0] += 1
    }
  }

  /// It unsubscribed, or ended.
  package mutating func unsubscribed(host: Int, topics: [Int]) {
    for topic in topics { now[Want(host: host, topic: topic), default: 0] -= 1 }
  }

  /// A DATA frame went out. `isSettled`: interest that changed has had time to become known.
  package mutating func sent(topic: Int, by life: Life, to host: Int, isSettled: Bool) -> String? {
    checks += 1
    let want = Want(host: host, topic: topic)
    if isSettled ? now[want, default: 0] > 0 : ever.contains(want) { return nil }
    return "life \(life) sends data of topic \(topic) to host \(host), which did not subscribe to it"
  }

  /// A DATA frame went to a group.
  package mutating func sentToGroup(topic: Int, by life: Life, isSettled: Bool) -> String? {
    checks += 1
    let hosts = hosts[topic, default: []]
    let wanting = isSettled ? hosts.count { now[Want(host: $0, topic: topic), default: 0] > 0 } : hosts.count
    if wanting > 1 { return nil }
    return "life \(life) sends data of topic \(topic) to a group, of which \(wanting) subscribed to it"
  }
}
