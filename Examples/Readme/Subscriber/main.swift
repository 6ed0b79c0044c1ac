import Glue

let endpoint = try await Endpoint(.fromEnvironment())
try await endpoint.start()

for await message in try endpoint.subscribe(to: "some_topic", type: "some_type") {
  print("\(message.publisher.name) said \(message.text)")
}
