import GlueCore
@testable import GlueModel
import Testing

private struct Lamp: Codable, Equatable {
  var isOn = true
  var level = 0.5
  var name = "hall"
  var color: [UInt8] = [1, 2, 3]
  var scenes: [Scene] = [Scene(name: "evening", levels: [1, 2]), Scene(name: "", levels: [])]
  var owner: String?
  var limits: [String: Int] = ["day/night": 1, "": 2, "+": 3]
  var nested = Nested()
  var mode = Mode.auto
  var wide: UInt64 = 1 << 62
}

private struct Scene: Codable, Equatable {
  var name: String
  var levels: [Int]
}

private struct Nested: Codable, Equatable {
  var optional: Int? = 4
  var empty = Empty()
}

private struct Empty: Codable, Equatable {}

private enum Mode: String, Codable { case auto, manual }

@Suite struct CodingTests {
  private let path = ModelPath(unchecked: "lamps/hall")
  private var document = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))

  private mutating func write(_ value: some Encodable) throws -> [ModelEdit] {
    let edits = try document.edits(writing: try ModelEncoder().encode(value), at: path)
    _ = try document.apply(edits, at: 1)
    return edits
  }

  private func read<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try ModelDecoder().decode(type, from: try #require(document.read(path)))
  }

  @Test mutating func aStructureComesBack() throws {
    _ = try write(Lamp())
    #expect(try read(Lamp.self) == Lamp())
    #expect(document.read(ModelPath(unchecked: "lamps/hall/isOn")) == .value(true))
    #expect(document.read(ModelPath(unchecked: "lamps/hall/color")) == .value(.bytes([1, 2, 3])))
    #expect(document.read(ModelPath(unchecked: "lamps/hall/limits/day~1night")) == .value(1))
    #expect(document.read(ModelPath(unchecked: "lamps/hall/nested/empty")) == .map([]))
    #expect(document.read(ModelPath(unchecked: "lamps/hall/mode")) == .value("auto"))
  }

  @Test mutating func onlyWhatDiffersIsWritten() throws {
    _ = try write(Lamp())
    #expect(try write(Lamp()) == [])
    var lamp = Lamp()
    lamp.level = 1
    lamp.limits[""] = nil
    #expect(
      try write(lamp)
        == [
          .set(ModelPath(unchecked: "lamps/hall/level"), 1.0), .delete(ModelPath(unchecked: "lamps/hall/limits/~")),
        ])
    #expect(try read(Lamp.self) == lamp)
    // Another kind replaces it, and is replaced.
    _ = try write([1, 2, 3])
    #expect(try read([Int].self) == [1, 2, 3])
    _ = try write(Lamp())
    #expect(try read(Lamp.self) == Lamp())
  }

  @Test mutating func countersAndSetsAreRead() throws {
    _ = try document.apply([.increment(path, 7)], at: 1)
    #expect(try read(Int.self) == 7)
    #expect(try read(Double.self) == 7)
    _ = try document.apply(try document.edits(writing: .set([1, 2]), at: path), at: 2)
    _ = try document.apply(try document.edits(writing: .set([2, 5]), at: path), at: 3)
    #expect(try read(Set<Int>.self) == [2, 5])
    _ = try document.apply(try document.edits(writing: .counter(4), at: path), at: 4)
    _ = try document.apply(try document.edits(writing: .counter(3), at: path), at: 5)
    #expect(try read(Int8.self) == 3)
  }

  @Test mutating func whatDoesNotFitIsRefused() throws {
    #expect(throws: EncodingError.self) { try ModelEncoder().encode(UInt64.max) }
    _ = try write(Lamp())
    #expect(throws: DecodingError.self) { try ModelDecoder().decode(Int.self, from: .value("x")) }
    #expect(throws: DecodingError.self) { try ModelDecoder().decode(UInt8.self, from: .value(256)) }
    #expect(throws: DecodingError.self) { try ModelDecoder().decode(Lamp.self, from: .map([])) }
    #expect(throws: DecodingError.self) { try ModelDecoder().decode([Int].self, from: .map([])) }
    #expect(throws: DecodingError.self) { try ModelDecoder().decode(Scene.self, from: .value([1, 2])) }
  }
}
