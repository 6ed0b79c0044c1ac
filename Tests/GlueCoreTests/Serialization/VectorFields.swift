import GlueAddress
import GlueCore

// The values of the core in the shape of docs/vectors.json.

extension FrameType {
  /// The name in docs/protocol.md §3.
  var documentName: String {
    switch self {
    case .pad: "PAD"
    case .announce: "ANNOUNCE"
    case .challenge: "CHALLENGE"
    case .answer: "ANSWER"
    case .welcome: "WELCOME"
    case .clash: "CLASH"
    case .bye: "BYE"
    case .ack: "ACK"
    case .groupAck: "GROUP_ACK"
    case .mtuProbe: "MTU_PROBE"
    case .mtuReply: "MTU_REPLY"
    case .relay: "RELAY"
    case .data: "DATA"
    case .status: "STATUS"
    case .heartbeat: "HEARTBEAT"
    case .gap: "GAP"
    }
  }
}

extension WireError {
  /// The error class of docs/protocol.md §11.
  var className: String {
    switch self {
    case .truncated: "truncated"
    case .varintOverflow: "varintOverflow"
    case .invalidUTF8: "invalidUTF8"
    case .invalidValue: "invalidValue"
    case .tooLong: "tooLong"
    case .mustUnderstand: "mustUnderstand"
    }
  }
}

extension DatagramHeader {
  var fields: JSON {
    switch self {
    case .long(let header):
      [
        "form": "long", "networkTag": JSON(header.networkTag), "sender": JSON(header.sender.rawValue),
        "incarnation": JSON(header.incarnation.rawValue), "packetNumber": JSON(header.packetNumber),
        "sealed": header.seal.map {
          ["suite": JSON($0.suite), "keyEpoch": JSON($0.keyEpoch), "keySalt": JSON($0.salt)]
        },
      ]
    case .short(let header):
      [
        "form": "short", "ackNow": .bool(header.acknowledgeNow), "group": .bool(header.isGroup),
        "connection": JSON(header.connection), "packetNumber": JSON(header.packetNumber),
        "sealed": header.isSealed ? ["keyEpoch": JSON(header.keyEpoch)] : nil,
      ]
    case .reset(let connection): ["form": "reset", "connection": JSON(connection)]
    }
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .long(let header): header.write(to: &writer)
    case .short(let header): header.write(to: &writer)
    case .reset(let connection): DatagramHeader.writeReset(connection: connection, to: &writer)
    }
  }
}

extension SocketAddress {
  var fields: JSON {
    let address =
      (0..<8).map { UInt8(truncatingIfNeeded: ip.high >> (56 - $0 * 8)) }
      + (0..<8).map { UInt8(truncatingIfNeeded: ip.low >> (56 - $0 * 8)) }
    return [
      "family": JSON(ip.family.rawValue), "address": JSON(hex: ip.family == .v4 ? address.suffix(4) : address[...]),
      "port": JSON(port),
    ]
  }
}

extension Attributes {
  /// With `meanings`, what the typed accessors make of the protocol's keys.
  func fields(meanings: Bool = false) -> JSON {
    var properties = userProperties.makeIterator()
    return .array(
      entries.map { entry in
        let fields: JSON = ["key": JSON(entry.key), "value": JSON(hex: entry.value)]
        guard meanings else { return fields }
        let property = entry.key == Key.userProperty ? properties.next() : nil
        return fields + ["meaning": meaning(entry.key, property)]
      })
  }

  private func meaning(_ key: UInt64, _ property: UserProperty?) -> JSON? {
    switch key {
    case 1: contentEncoding.map { .string($0) }
    case 2: correlationID.map { JSON(hex: $0) }
    case 3: replyTo.map { .string($0) }
    case 4: priority.map { JSON($0) }
    case 5: compression.map { .string($0) }
    case 6: property.map { ["name": .string($0.name), "value": .string($0.value)] }
    case 7: signature.map { JSON(hex: $0) }
    case 8: schemaHash.map { JSON($0) }
    case 9: shareGroup.map { .string($0) }
    case 10: rateLimit.map { JSON($0) }
    case 11: will.map { ["topic": .string($0.topic), "payload": JSON(hex: $0.payload)] }
    case 12: wallClock.map { JSON($0) }
    case 13: value(Key.inquiry).map { JSON(hex: $0) }
    case 14: historyPolicy.map(\.fields)
    case 15: age.map { JSON($0) }
    case 16:
      origin.map {
        [
          "publisher": JSON($0.publisher.rawValue), "incarnation": JSON($0.incarnation.rawValue),
          "name": .string($0.name), "number": JSON($0.number),
        ]
      }
    case 17: request.map { JSON($0) }
    case 18: held.map { ["first": JSON($0.first), "end": JSON($0.end), "bytes": JSON($0.bytes)] }
    case 19: published.map { ["messages": JSON($0.messages), "bytes": JSON($0.bytes)] }
    case 20: retained.map { ["time": JSON($0.time), "cleared": .bool($0.isCleared)] }
    default: nil
    }
  }
}

extension HistoryPolicy {
  fileprivate var fields: JSON {
    switch self {
    case .none: ["kind": 0, "count": 0]
    case .untilExpiry: ["kind": 1, "count": 0]
    case .last(let count): ["kind": 2, "count": JSON(count)]
    case .retained: ["kind": 3, "count": 0]
    }
  }
}

extension Announcement {
  var fields: JSON {
    [
      "leaving": .bool(isLeaving), "hearsYou": .bool(hearsYou),
      "minimumVersion": JSON(minimumVersion), "maximumVersion": JSON(maximumVersion),
      "capabilities": JSON(capabilities.rawValue), "interval": JSON(intervalMilliseconds),
      "leaseMultiplier": JSON(leaseTenths), "uptime": JSON(uptimeMilliseconds),
      "interestVersion": JSON(interestVersion), "name": .string(name), "locators": .array(locators.map(\.fields)),
      "heard": .array(heard.map { JSON($0.rawValue) }), "attributes": attributes.fields(),
    ]
  }
}

extension Welcome {
  var fields: JSON {
    [
      "session": JSON(session), "yourSession": JSON(yourSession), "forIncarnation": JSON(addressee.rawValue),
      "receiveBuffer": JSON(receiveBufferBytes),
      "acceptsGroupTag": .bool(acceptsGroupTag), "announcement": announcement.fields,
    ]
  }
}

extension Clash {
  var fields: JSON {
    [
      "kind": kind == .endpointID ? "endpointID" : "name", "token": JSON(token), "holder": JSON(holder.rawValue),
      "holderIncarnation": JSON(incarnation.rawValue), "holderUptime": JSON(uptimeMilliseconds),
      "holderName": .string(name),
    ]
  }
}

extension Status {
  var fields: JSON {
    [
      "stream": JSON(stream), "next": JSON(next), "window": JSON(windowBytes),
      "missing": .array(missing.map { [JSON($0.lowerBound), JSON($0.upperBound)] }),
    ]
  }
}

extension Gap {
  var fields: JSON {
    [
      "stream": JSON(stream), "position": JSON(position), "count": JSON(count),
      "nextSequence": JSON(nextSequence), "reason": JSON(reason.rawValue),
    ]
  }
}

extension Unit {
  func fields() throws(WireError) -> JSON {
    let names: [(Flags, JSON)] = [
      (.first, "first"), (.last, "last"), (.lifetime, "lifetime"), (.attributes, "attributes"),
    ]
    let isFirst = flags.contains(.first)
    let fields: JSON = [
      "flags": .array(names.filter { flags.contains($0.0) }.map(\.1)), "time": isFirst ? JSON(timeMicroseconds) : nil,
      "lifetime": lifetimeMicroseconds.map { JSON($0) },
      "total": isFirst && !flags.contains(.last) ? JSON(totalBytes) : nil, "body": JSON(hex: body),
    ]
    guard flags.contains([.first, .last, .attributes]) else { return fields }
    var reader = WireReader(body)
    let attributes = try Attributes(from: &reader)
    return fields + ["attributes": attributes.fields(), "payload": JSON(hex: reader.rest())]
  }
}

extension ControlMessage {
  var fields: JSON {
    switch self {
    case .subscribe(let subscription, let filter, let type, let attributes):
      [
        "message": "SUBSCRIBE", "subscription": JSON(subscription), "filter": .string(filter),
        "topicType": type.map { .string($0) }, "attributes": attributes.fields(),
      ]
    case .unsubscribe(let subscription): ["message": "UNSUBSCRIBE", "subscription": JSON(subscription)]
    case .interest(let version): ["message": "INTEREST", "version": JSON(version)]
    case .open(let opening):
      [
        "message": "OPEN", "stream": JSON(opening.stream), "topic": .string(opening.topic),
        "reliable": .bool(opening.isReliable), "topicType": opening.type.map { .string($0) },
        "epoch": JSON(opening.epochMicroseconds), "position": JSON(opening.position),
        "sequence": JSON(opening.sequence), "attributes": opening.attributes.fields(),
      ]
    case .close(let stream, let position):
      ["message": "CLOSE", "stream": JSON(stream), "position": JSON(position)]
    case .mismatch(let subscription, let topic, let publisherType, let subscriberType, let attributes):
      [
        "message": "MISMATCH", "subscription": JSON(subscription), "topic": .string(topic),
        "publisherType": .string(publisherType), "subscriberType": .string(subscriberType),
        "attributes": attributes.fields(),
      ]
    case .introduce(let introduction):
      [
        "message": "INTRODUCE", "endpoint": JSON(introduction.endpoint.rawValue),
        "incarnation": JSON(introduction.incarnation.rawValue), "held": JSON(introduction.heldMilliseconds),
        "locators": .array(introduction.locators.map(\.fields)), "hops": JSON(introduction.hops),
      ]
    case .refused(.stream(let number)): ["message": "REFUSED", "of": "OPEN", "number": JSON(number)]
    case .refused(.subscription(let number)): ["message": "REFUSED", "of": "SUBSCRIBE", "number": JSON(number)]
    case .refused(.fetch(let number)): ["message": "REFUSED", "of": "FETCH", "number": JSON(number)]
    case .have(let holdings, let asks, let isAll):
      ["message": "HAVE", "asks": .bool(asks), "isAll": .bool(isAll), "holdings": .array(holdings.map(\.fields))]
    case .fetch(let fetch):
      [
        "message": "FETCH", "request": JSON(fetch.request), "stream": JSON(fetch.stream.rawValue),
        "from": fetch.from.map { JSON($0) }, "below": fetch.below.map { JSON($0) },
      ]
    case .answered(let subscription, let omitted):
      ["message": "ANSWERED", "subscription": JSON(subscription), "omitted": JSON(omitted)]
    case .stored(let store, let ranges):
      ["message": "STORED", "store": JSON(store.rawValue), "ranges": .array(ranges.map(\.fields))]
    }
  }
}

extension StoredRange {
  fileprivate var fields: JSON {
    ["stream": JSON(stream.rawValue), "first": JSON(first), "end": JSON(end)]
  }
}

extension StreamHolding {
  fileprivate var fields: JSON {
    ["stream": JSON(stream.rawValue), "first": JSON(first), "end": JSON(end)]
  }
}
