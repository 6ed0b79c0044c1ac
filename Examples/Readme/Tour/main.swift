import Glue

struct Temperature: Codable { var celsius: Double }

try await withEndpoint(.fromEnvironment()) { endpoint in
  // A callback: called on the endpoint's own thread, without a copy. + and # are wildcards.
  try endpoint.subscribe(to: "home/#") { message in
    print("\(message.topic): \(message.byteCount) bytes, \(message.age) after they were published")
  }

  // Values of any Codable type. Both ends have to name the same type, or both get an event.
  let kitchen = Topic<Temperature>("home/kitchen")
  let publication = try endpoint.publication(kitchen)
  // At the start nobody else is known yet.
  try await publication.awaitSubscribers(1)
  let receipt = try await publication.publish(Temperature(celsius: 21.5), expiry: .seconds(1))
  // Waits until every subscriber's endpoint has it, or tells which have not.
  print(await receipt.acknowledged())

  // To one peer alone.
  if let peer = endpoint.peers.first { try await endpoint.send(Array("Hello, you.".utf8), to: peer.id) }

  // Which topics there are: who publishes, wants and holds what.
  for topic in try await endpoint.topics().topics { print(topic.name, topic.publishers.map(\.party)) }

  // What happens besides messages: peers that come and go, losses and why, limits, interfaces, suspension.
  for await event in endpoint.events { print(event) }
}
