import Glue

try await withEndpoint(.fromEnvironment()) { endpoint in
  let publication = try endpoint.publication("some_topic", type: "some_type")
  try await publication.awaitSubscribers(1)
  try await publication.publish("Hello, world.", expiry: .milliseconds(100))
}
