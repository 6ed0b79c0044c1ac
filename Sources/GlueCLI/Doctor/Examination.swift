import Foundation
import Glue
import GlueAddress

/// Takes part in the network for some seconds and writes down what comes of it.
struct Examination {
  /// Endpoints to which the path is measured; it costs each some sixty datagrams.
  private static let maximumMeasured = 16
  /// Probes of each size.
  private static let echoes = 20
  /// Time between two looks.
  private static let pause = Duration.milliseconds(50)
  /// Even if all is well no sooner: endpoints that are heard elsewhere only announce themselves once a second.
  private static let leastTime = Duration.seconds(2)
  /// An interface that is just coming up may have an address by then.
  private static let waitForInterface = Duration.milliseconds(500)
  /// A new peer's session settles before its path is measured.
  private static let settlingTime = Duration.milliseconds(200)
  /// A peer's announcements that come this long after it became one should tell that it hears this endpoint.
  private static let tellingTime = Duration.milliseconds(1_200)
  private static let knockInterval = Duration.milliseconds(400)

  let configuration: Endpoint.Configuration
  let interfaces: [HostInterface]
  let duration: Duration
  /// Nobody else is expected: nobody needs to be waited for.
  let isAlone: Bool
  let observations = Shared(Observations())

  /// What happened while it lasted.
  private struct Course {
    let began = ContinuousClock.now
    /// This examination's endpoints: they may meet each other.
    let own: Set<EndpointID>
    var since: [EndpointID: ContinuousClock.Instant] = [:]
    /// The peers as they are, or last were: another doctor may have seen enough and left.
    var peers: [EndpointID: PeerInspection] = [:]
    var measured: Set<EndpointID> = []
    var listeners: [GroupListener]?
    var knockedAt: ContinuousClock.Instant?
    var elapsed: Duration { .now - began }
  }

  /// Runs until everything is known or the time is over.
  ///
  /// - Returns: what was found, which interface was used, and how large a receive buffer the system gave.
  func run() async throws -> (path: DoctorFacts.Path, choice: InterfaceChoice, receiveBuffer: Int) {
    let observations = observations
    var settings = configuration
    settings.onDatagram = { datagram in observations.withLock { $0.note(datagram, at: .now) } }
    let endpoint = try await Endpoint(settings)
    let events = endpoint.events
    let listening = Task { for await event in events { observations.withLock { $0.note(event) } } }
    defer { listening.cancel() }
    let inquiry = try endpoint.inquire(about: "#")
    try await endpoint.start()

    // Whether multicast would work too can be tried beside a target that does not need it.
    let second = try? await multicastEndpoint()
    let probe = unicastTarget.map(TargetProbe.init)
    var course = Course(own: Set([endpoint.id, second?.id].compactMap { $0 }))
    while course.elapsed < duration {
      do { try await Task.sleep(for: Self.pause) } catch { break }
      look(endpoint, probe, &course)
      // While the interface is not there nobody will be heard.
      if course.elapsed >= Self.waitForInterface, endpoint.interfaceChoice.used.isEmpty { break }
      if course.elapsed >= Self.leastTime, isComplete(endpoint, course) { break }
    }
    var path = path(endpoint, second, probe, course)
    note(endpoint.survey(inquiry), in: &path)
    let choice = endpoint.interfaceChoice
    let receiveBuffer = endpoint.grantedReceiveBufferBytes
    await second?.shutdown(timeout: .zero)
    await endpoint.shutdown(timeout: .zero)
    try Task.checkCancellation()
    return (path, choice, receiveBuffer)
  }

  private var unicastTarget: SocketAddress? {
    guard case .endpoint = DoctorFacts.Settings.Target(configuration, interfaces),
      case .address(let target) = configuration.discoveryTarget
    else { return nil }
    return target
  }

  private func multicastEndpoint() async throws -> Endpoint? {
    guard unicastTarget != nil else { return nil }
    var settings = configuration
    settings.discoveryTarget = .standard
    settings.discoveryListenAddress = nil
    settings.listenAddress = nil
    settings.endpointName = configuration.endpointName.map { $0 + "-m" }
    let endpoint = try await Endpoint(settings)
    try await endpoint.start()
    return endpoint
  }

  // MARK: While it runs

  private func look(_ endpoint: Endpoint, _ probe: TargetProbe?, _ course: inout Course) {
    let now = ContinuousClock.now
    // Of paths there is something to say where there is one.
    for inspected in endpoint.inspectPeers() where !course.own.contains(inspected.peer.id) && !inspected.peer.isRelayed
    {
      let id = inspected.peer.id
      let since = course.since[id] ?? now
      course.since[id] = since
      course.peers[id] = inspected
      guard now - since >= Self.settlingTime, course.measured.count < Self.maximumMeasured,
        course.measured.insert(id).inserted
      else { continue }
      endpoint.measurePath(to: id, sizes: sizes(to: inspected.peer.address.ip, endpoint), count: Self.echoes)
    }
    let used = Set(endpoint.interfaceChoice.used.map(\.name))
    let listeners = course.listeners ?? openListeners(except: used)
    course.listeners = listeners
    for listener in listeners {
      for datagram in listener.take(by: endpoint) {
        observations.withLock { $0.note(datagram, elsewhere: listener.interface) }
      }
    }
    if let probe, course.knockedAt.map({ now - $0 >= Self.knockInterval }) ?? true {
      probe.knock()
      course.knockedAt = now
    }
  }

  /// Something small, the largest that Glue sends unasked, and the largest that the interface passes.
  private func sizes(to address: IPAddress, _ endpoint: Endpoint) -> [Int] {
    let used = endpoint.interfaceChoice.used.map(\.name)
    let mtu = interfaces.filter { used.contains($0.name) }.map(\.mtu).min() ?? 1_500
    let largest = min(mtu, 9_000) - (address.family == .v4 ? 28 : 48)
    return [128, 1_200] + (largest > 1_250 ? [largest] : [])
  }

  private func openListeners(except used: Set<String>) -> [GroupListener] {
    interfaces.filter {
      $0.isUp && !$0.isLoopback && $0.supportsMulticast && !$0.addresses.isEmpty && !used.contains($0.name)
    }
    .flatMap { interface in
      configuration.groups.filter { group in interface.addresses.contains { $0.family == group.ip.family } }
        .compactMap { GroupListener(to: $0, on: interface) }
    }
  }

  /// Whether everything is known and well: there is nothing to wait for.
  private func isComplete(_ endpoint: Endpoint, _ course: Course) -> Bool {
    let seen = observations.value
    let peers = course.peers.values
    let usesGroups = configuration.usesGroups
    if usesGroups {
      let used = Set(endpoint.interfaceChoice.used.map(\.name))
      guard interfaces.allSatisfy({ !used.contains($0.name) || seen.ownMulticast[$0.index] != nil }) else {
        return false
      }
    }
    guard !peers.isEmpty || isAlone else { return false }
    guard seen.heard.keys.allSatisfy({ course.peers[$0] != nil || course.own.contains($0) }) else { return false }
    return peers.allSatisfy { inspected in
      let isHeard = !(seen.heard[inspected.peer.id]?.groupArrivals.isEmpty ?? true)
      let isGroupKnown = !usesGroups || !inspected.announcesToGroup || isHeard && inspected.hearsUs
      return inspected.isMeasured && inspected.hasToldSubscriptions && inspected.clockLead != nil && isGroupKnown
        && course.since[inspected.peer.id].map { .now - $0 >= Self.settlingTime * 2 } ?? false
    }
  }

  // MARK: Afterwards

  private func note(_ survey: [TopicSurvey], in path: inout DoctorFacts.Path) {
    for endpoint in survey {
      if endpoint.omitted ?? 0 > 0 { path.isIncomplete = true }
      // What an endpoint only holds is nobody's mistake any more.
      path.topics += endpoint.answers.filter { $0.origin == nil }.map {
        DoctorFacts.Topic(name: $0.topic, type: $0.type, publisher: endpoint.id.rawValue)
      }
    }
  }

  private func path(
    _ endpoint: Endpoint, _ second: Endpoint?, _ probe: TargetProbe?, _ course: Course
  ) -> DoctorFacts.Path {
    let seen = observations.value
    let own = course.own
    let ownAddresses = Set(interfaces.flatMap(\.addresses))
    var peers = course.peers
    for item in endpoint.inspectPeers(includingSubscriptions: true) where !item.peer.isRelayed {
      peers[item.peer.id] = item
    }
    let inspected = peers.values.filter { !own.contains($0.peer.id) }.sorted { $0.peer.id < $1.peer.id }
    var path = DoctorFacts.Path()
    path.seconds = course.elapsed.inSeconds
    // One that was made meanwhile has a number that was not known.
    let names = Dictionary(
      (interfaces + ((try? HostInterface.all()) ?? [])).map { ($0.index, $0.name) }, uniquingKeysWith: { $1 })
    for (index, families) in seen.ownMulticast {
      if let name = names[index] { path.ownMulticast[name, default: []].formUnion(families) }
    }
    path.heardOn = Set(seen.heardOn.compactMap { names[$0] })
    path.unmeasured = inspected.count { !course.measured.contains($0.peer.id) }
    path.isIncomplete = seen.isIncomplete
    path.sendErrors = Array(seen.sendErrors.prefix(4))
    // Whose lists take turns may not have come to this endpoint yet.
    let turns = inspected.count / 32
    path.peers = inspected.map { item in
      let since = course.since[item.peer.id] ?? .now
      let arrivals = seen.heard[item.peer.id]?.groupArrivals ?? []
      let ip = item.peer.address.ip
      return DoctorFacts.Peer(
        text: item.peer.description, id: item.peer.id.rawValue, name: item.peer.name, address: ip,
        isOnThisHost: ip.isLoopback || ownAddresses.contains(ip), age: (.now - since).inSeconds,
        interval: item.interval.inSeconds, announcesToGroup: item.announcesToGroup, groupArrivals: arrivals.count,
        tellingArrivals: max(0, arrivals.count { $0 >= since + Self.tellingTime } - turns), hearsUs: item.hearsUs,
        roundTripMilliseconds: item.roundTrip?.inMilliseconds, pathBytes: item.pathBytes,
        echoes: item.echoes.map { DoctorFacts.Echoes(bytes: $0.bytes, sent: $0.sent, answered: $0.answered) },
        clockLeadSeconds: item.clockLead?.inSeconds,
        subscriptions: item.subscriptions.map { DoctorFacts.Subscription(filter: $0.filter, type: $0.type) })
    }
    path.strangers = seen.heard.filter { id, heard in
      !own.contains(id) && course.since[id] == nil && seen.incompatible[id] == nil && heard.groupArrivals.count >= 2
        && .now - heard.firstAt >= .milliseconds(1_500)
    }.map { DoctorFacts.Stranger(id: $0.rawValue, address: "\($1.address.ip)", isHeardByUnicast: $1.isHeardByUnicast) }
      .sorted { $0.id < $1.id }
    path.otherNetworks = seen.otherNetworks.mapValues(\.count)
    path.otherSealedNetworks = seen.otherSealedNetworks.count
    path.keyMismatches = seen.keyMismatches.sorted { $0.key < $1.key }.map(\.value)
    path.incompatible = seen.incompatible.values.sorted()
    path.idClashes = seen.idClashes
    path.nameClashes = seen.nameClashes
    path.elsewhere = seen.elsewhere.mapValues { Set($0.map { "\($0.ip)" }).sorted() }
      .filter { !Set($0.value).isSubset(of: ownAddresses.map(\.description)) }
    path.target = probe?.outcome
    if let second {
      path.isMulticastAlsoWorking = second.inspectPeers().contains {
        !own.contains($0.peer.id) && !ownAddresses.contains($0.peer.address.ip)
      }
    }
    return path
  }
}

extension DoctorFacts.Settings.Target {
  /// What kind of target the settings name.
  init(_ configuration: Endpoint.Configuration, _ interfaces: [HostInterface]) {
    switch configuration.discoveryTarget {
    case .standard: self = .group
    case .nobody: self = .nobody
    case .address(let target) where target.ip.isMulticast: self = .group
    case .address(let target):
      let isBroadcast = target.ip == IPAddress(v4: .max) || interfaces.contains { $0.broadcastAddress == target.ip }
      self = isBroadcast ? .broadcast : .endpoint("\(target)")
    }
  }
}
