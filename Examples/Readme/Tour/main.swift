import Glue

struct Temperature: Codable { var celsius: Double }

try await withEndpoint(.fromEnvironment()) { endpoint in
  // A callback: called on the endpoint's own thread, without a copy. + and # are wildcards.
  try endpoint.subscribe(to: "home/#") { message in
    print("\(message.topic): \(message.byteCount) bytes, \(message.age) after they were published")
  }

  // Values of any Codable type. Both ends have to name the same type, or both get an event.
  let kitchen = Topic<Temperature>("home/kitchen")
  let receipt = try await endpoint.publish(Temperature(celsius: 21.5), to: kitchen, expiry: .seconds(1))
  // Everybody who was to get it has it, or these have not.
  print(await receipt.acknowledged())

  // To one peer alone.
  if let peer = endpoint.peers.first { try await endpoint.send(Array("Hello, you.".utf8), to: peer.id) }

  // What happens besides messages: peers that come and go, losses and why, limits, interfaces, suspension.
  for await event in endpoint.events { print(event) }
}
