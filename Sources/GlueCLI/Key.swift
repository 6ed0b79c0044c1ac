import ArgumentParser
import Glue

/// `glue key`: makes a network key, or tells keys apart.
struct Key: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a network key, or show the fingerprint of one.",
    discussion: """
      Prints the base64 of 32 random bytes. Give it to every endpoint of a network, as GLUE_NETWORK_KEY or in a file that \
      GLUE_NETWORK_KEY_FILE names, and to nobody else.

          (umask 077 && glue key > network.key)

      With --fingerprint it makes none, and prints a line for each key there is: in FILE, or else in those variables. Equal \
      keys have equal fingerprints, and no key can be found from one, so hosts can be compared without showing their keys.
      """)

  @Flag(help: "Show the fingerprints of keys instead of making one.")
  var fingerprint = false

  @Argument(help: "With --fingerprint: a file of keys; by default what the environment sets.")
  var file: String?

  func validate() throws {
    guard file == nil || fingerprint else { throw ValidationError("FILE is for --fingerprint; write a new key with >") }
  }

  func run() throws {
    guard fingerprint else { return Console.line(NetworkKey.makeBase64()) }
    var settings = Endpoint.Configuration()
    if let file { settings.networkKeyFile = file } else { settings = try .fromEnvironment() }
    guard settings.networkKeys.isEmpty || settings.networkKeyFile == nil else {
      throw ValidationError("GLUE_NETWORK_KEY and GLUE_NETWORK_KEY_FILE are both set; endpoints take one of them")
    }
    let keys = try settings.readNetworkKeys()
    guard !keys.isEmpty else {
      throw ValidationError("no key: name a file, or set GLUE_NETWORK_KEY or GLUE_NETWORK_KEY_FILE")
    }
    for key in keys { Console.line(key.fingerprint) }
  }
}
