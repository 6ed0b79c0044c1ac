import Glue

// The two programs of the README, verbatim: that this file compiles is the test. They are not run, as they would use
// this host's real network.

func readmeSubscriber() async throws {
  let endpoint = try await Endpoint(.fromEnvironment())  // reads GLUE_…
  try await endpoint.start()
  for await message in try endpoint.subscribe(to: "some_topic", type: "some_type") {
    print("\(message.publisher.name) said \(message.text)")
  }
}

func readmePublisher() async throws {
  let endpoint = try await Endpoint(.fromEnvironment())
  try await endpoint.start()
  try await endpoint.publish("Hello, world.", to: "some_topic", type: "some_type", expiry: .milliseconds(100))
}
