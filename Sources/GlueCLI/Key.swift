import ArgumentParser
import Glue

/// `glue key`
struct Key: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a network key.",
    discussion: """
      Prints the base64 of 32 random bytes. Give it to every endpoint of a network, as GLUE_NETWORK_KEY or in a file that \
      GLUE_NETWORK_KEY_FILE names, and to nobody else.

          (umask 077 && glue key > network.key)
      """)

  func run() { Console.line(NetworkKey.makeBase64()) }
}
