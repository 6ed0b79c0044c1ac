import Glue

/// The names of the files that `glue sub --output` writes: `TOPIC-PUBLISHER-INCARNATION-SEQUENCE`. Two messages never have the
/// same name, whatever their topics, and also when a publisher with a fixed ID begins again at sequence 0.
enum MessageFile {
  /// What is left for the topic of the 255 bytes that file systems allow, beside three numbers of up to 20 digits.
  private static let topicBytes = 255 - 3 * 21
  private static let hashBytes = 17

  static func name(of message: Message) -> String {
    let publisher = message.publisher
    return name(
      topic: message.topic, publisher: publisher.id.rawValue, incarnation: publisher.incarnation.rawValue,
      sequence: message.sequence)
  }

  static func name(topic: String, publisher: UInt64, incarnation: UInt64, sequence: UInt64) -> String {
    var text = readable(topic)
    if text.utf8.count > topicBytes {
      text = "\(text.prefix(topicBytes - hashBytes))~" + hash(topic)
    }
    return "\(text)-\(publisher)-\(incarnation)-\(sequence)"
  }

  /// `_` for `/`, and `%` with two hexadecimal digits for what not every file system and shell takes as it is.
  private static func readable(_ topic: String) -> String {
    var text = ""
    for (index, byte) in topic.utf8.enumerated() {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: ".") where index > 0:  // at the beginning it would hide the file
        text += "."
      case UInt8(ascii: "/"): text += "_"
      default: text += "%" + hexadecimal(UInt64(byte), digits: 2)
      }
    }
    return text
  }

  /// FNV-1a: tells apart the topics of one publisher that begin alike. It need not resist a publisher that seeks collisions:
  /// those would be its own files.
  private static func hash(_ topic: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in topic.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hexadecimal(hash, digits: 16)
  }

  private static func hexadecimal(_ number: UInt64, digits: Int) -> String {
    let text = String(number, radix: 16, uppercase: true)
    return String(repeating: "0", count: digits - text.count) + text
  }
}
