import GlueAddress
import GlueNetwork

extension InterfaceChoice {
  /// Chooses.
  ///
  /// - Parameters:
  ///   - selection: What was asked for.
  ///   - families: The address families in question.
  ///   - host: What there is.
  ///   - previous: The choice so far.
  init(_ selection: InterfaceSelection, _ families: [IPAddress.Family], on host: HostNetwork, after previous: Self?) {
    switch selection {
    case .named(let names):
      self.init(reason: .setting, interfaces: names.map { Interface($0, families, on: host) })
      leaveOutLoopback(on: host)
    case .all:
      self = Self.all(families, on: host)
      return
    case .defaultRoute:
      self = Self.byDefault(families, on: host, after: previous)
    }
    let asked = interfaces.map(\.name)
    interfaces += host.interfaces.filter { !asked.contains($0.name) && !$0.isLoopback && $0.disqualification == nil }
      .map { Interface($0.name, families, on: host) }
      .filter { $0.obstacle == nil }
      .map { Interface(name: $0.name, addresses: $0.addresses, obstacle: .notAskedFor) }
  }

  /// The interface of the default route. When there is none any more, the one in use stays as long as it can be used: routes
  /// come and go by themselves.
  private static func byDefault(_ families: [IPAddress.Family], on host: HostNetwork, after previous: Self?) -> Self {
    if let name = host.defaultRoute {
      return InterfaceChoice(reason: .defaultRoute, interfaces: [Interface(name, families, on: host)])
    }
    for former in previous?.used ?? [] where host.interface(former.name)?.isLoopback == false {
      let interface = Interface(former.name, families, on: host)
      if interface.obstacle == nil { return InterfaceChoice(reason: .usedBefore, interfaces: [interface]) }
    }
    let loopback = host.interfaces.first { $0.isLoopback }?.name ?? "loopback"
    return InterfaceChoice(reason: .onlyLoopback, interfaces: [Interface(loopback, families, on: host)])
  }

  /// All that qualify, and loopback if none of them can be used.
  private static func all(_ families: [IPAddress.Family], on host: HostNetwork) -> Self {
    var wanted: [Interface] = []
    var leftOut: [Interface] = []
    for item in host.interfaces {
      var interface = Interface(item.name, families, on: host)
      if let disqualification = item.disqualification {
        interface.obstacle = disqualification
      } else if interface.obstacle == nil,
        wanted.count(where: { $0.obstacle == nil }) == InterfaceSelection.maximumCount
      {
        interface.obstacle = .tooMany
      }
      if interface.obstacle?.isAwaited ?? true { wanted.append(interface) } else { leftOut.append(interface) }
    }
    if !wanted.contains(where: { $0.obstacle == nil }),
      let loopback = host.interfaces.first(where: \.isLoopback).map({ Interface($0.name, families, on: host) })
    {
      leftOut.removeAll { $0.name == loopback.name }
      return InterfaceChoice(reason: .nothingElse, interfaces: [loopback] + wanted + leftOut)
    }
    return InterfaceChoice(reason: .all, interfaces: wanted + leftOut)
  }

  /// Loopback is used alone or not at all: its multicast has to come from its own address, which a socket for several
  /// interfaces is not bound to. Endpoints of this host reach each other by the other interfaces as well.
  private mutating func leaveOutLoopback(on host: HostNetwork) {
    func isLoopback(_ interface: Interface) -> Bool { host.interface(interface.name)?.isLoopback == true }
    guard used.contains(where: { !isLoopback($0) }) else { return }
    for index in interfaces.indices where interfaces[index].obstacle == nil && isLoopback(interfaces[index]) {
      interfaces[index].obstacle = .loopback
    }
  }
}

extension InterfaceChoice.Interface {
  /// The interface of that name, as far as it can be used.
  init(_ name: String, _ families: [IPAddress.Family], on host: HostNetwork) {
    let interface = host.interface(name)
    let addresses = interface?.addresses.filter { families.contains($0.family) } ?? []
    let obstacle: InterfaceChoice.Obstacle? =
      if let interface { !interface.isUp ? .down : addresses.isEmpty ? .noAddress : nil } else { .missing }
    self.init(name: name, addresses: addresses, obstacle: obstacle)
  }
}

extension NetworkInterface {
  /// Why it is not used unless a setting names it; `nil` if it qualifies.
  fileprivate var disqualification: InterfaceChoice.Obstacle? {
    if isLoopback { return .loopback }
    if isPointToPoint { return .pointToPoint }
    if isVirtual { return .virtual }
    return supportsMulticast ? nil : .noMulticast
  }
}
