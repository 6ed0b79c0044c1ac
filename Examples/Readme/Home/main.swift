import Glue

struct Lamp: Codable {
  var isOn = false
  var brightness = 100
}

try await withEndpoint(.fromEnvironment()) { endpoint in
  let home = try await endpoint.model("home")
  // Whoever has the model open tells what is in it.
  try? await home.awaitSync(replicas: 1, timeout: .seconds(1))

  try home.set("mode", to: "evening")
  try home.increment("starts")
  try home.write(Lamp(isOn: true), to: "lamps/hall")
  // Several changes that everybody sees as one.
  try home.update {
    try $0.add("hall", to: "lit")
    try $0.delete("alarm")
  }

  // What is there, then everything that is changed, here or elsewhere.
  let changes = try home.changes()
  if let lamp = try home.read("lamps/hall", as: Lamp.self) { print(lamp) }
  for await change in changes {
    print(change.path, change.new.map { "\($0)" } ?? "is gone", change.cause)
  }
}
