import Glue
import GlueStore

try await withEndpoint(.fromEnvironment()) { endpoint in
  var settings = Quorum.Settings()
  // Where this endpoint remembers its votes, if it has one. All else goes without.
  settings.storage = try FileLogDirectory(directory: "vault-store", quorum: "vault")
  let vault = try await endpoint.quorum("vault", settings)
  print("endpoint", try await vault.awaitLeader(timeout: .seconds(60)), "leads")

  // Returns when a majority has it on disk.
  try await vault.set("alarm/armed", to: true)
  // Everything that was decided before, by whomever.
  print("armed:", try await vault.read("alarm/armed")?.bool ?? false)
  // Of all who try, one succeeds.
  let isMine = try await vault.compareAndSet("alarm/guard", expecting: nil, to: "Ada")
  print(isMine ? "Ada stands guard" : "somebody else does")

  try await vault.withLock("door", timeout: .seconds(30)) { lock in
    // What the lock protects refuses tokens that are lower than the highest it has seen.
    print("the door is mine, by token", lock.token)
  }
}
