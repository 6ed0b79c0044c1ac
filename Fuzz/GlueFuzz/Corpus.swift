import Foundation

/// Inputs to begin from: the vectors of the protocol document, valid and invalid ones.
public struct Corpus: Sendable {
  /// Everything, as it is.
  public private(set) var inputs: [[UInt8]] = []
  /// The headers of datagrams that have frames.
  public private(set) var headers: [[UInt8]] = []
  /// The frames of datagrams: type and body.
  public private(set) var frames: [(type: UInt8, body: [UInt8])] = []
  /// The messages between replicas of a model.
  public private(set) var modelVectors: [(name: String, bytes: [UInt8], error: String?)] = []
  /// The messages between openings of a quorum model, and their states and files.
  public private(set) var quorumVectors: [(name: String, kind: String, bytes: [UInt8], error: String?)] = []

  private struct Vector: Decodable {
    var name: String
    var kind: String
    var hex: String
    var error: String?
  }

  /// Where the vectors are in the source tree that this was compiled from.
  public static let defaultPath =
    String(#filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" })
    + "/docs/vectors.json"

  /// Reads the vectors.
  public init(path: String = Corpus.defaultPath) throws {
    let vectors = try JSONDecoder().decode([Vector].self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    for vector in vectors {
      let bytes = Self.bytes(hex: vector.hex)
      if vector.kind == "model" {
        modelVectors.append((vector.name, bytes, vector.error))
        continue
      }
      if vector.kind.hasPrefix("quorum") {
        quorumVectors.append((vector.name, vector.kind, bytes, vector.error))
        continue
      }
      inputs.append(bytes)
      if vector.kind == "datagram", vector.error == nil { addParts(of: bytes) }
    }
  }

  private mutating func addParts(of datagram: [UInt8]) {
    let headerBytes = datagram[0] < 0x80 ? Int(datagram[6]) | Int(datagram[7]) << 8 : datagram[0] & 1 == 0 ? 9 : 5
    guard datagram.count > headerBytes else { return }
    headers.append(Array(datagram[..<headerBytes]))
    var rest = datagram[headerBytes...]
    while rest.count >= 3 {
      let header = Array(rest.prefix(3))
      let length = Int(header[1]) | Int(header[2]) << 8
      frames.append((type: header[0], body: Array(rest.dropFirst(3).prefix(length))))
      rest = rest.dropFirst(3 + length)
    }
  }

  private static func bytes(hex: String) -> [UInt8] {
    let digits = Array(hex.utf8)
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap { index in
      UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16)
    }
  }
}
