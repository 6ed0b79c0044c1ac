import NIOCore
import NIOPosix
import Synchronization

/// swift-nio's datagram channels: one event loop on each side, configured as its documentation advises.
struct NIOWay: Way {
  let name = "swift-nio"

  private func open(
    on loop: any EventLoop, offload: Bool, slots: Int, slotBytes: Int,
    handler: @escaping @Sendable () -> any ChannelHandler
  ) throws -> any Channel {
    var bootstrap = DatagramBootstrap(group: loop)
      .channelOption(.socketOption(.so_rcvbuf), value: 4 << 20)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: slots * slotBytes))
      .channelOption(.datagramVectorReadMessageCount, value: slots)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler()) }
      }
    if offload {
      bootstrap =
        bootstrap
        .channelOption(.datagramReceiveOffload, value: true)
        .channelOption(.datagramReceiveSegmentSize, value: true)
    }
    return try bootstrap.bind(host: "127.0.0.1", port: 0).wait()
  }

  func roundTrips(size: Int, nanoseconds: UInt64) throws -> [UInt32] {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    defer { try? group.syncShutdownGracefully() }
    let far = try open(on: group.next(), offload: false, slots: 16, slotBytes: 2_048) { Echo() }
    let done = group.next().makePromise(of: [UInt32].self)
    let target = far.localAddress!
    let near = try open(on: done.futureResult.eventLoop, offload: false, slots: 16, slotBytes: 2_048) {
      Pinger(target: target, size: size, nanoseconds: nanoseconds, done: done)
    }
    near.eventLoop.execute { near.pipeline.fireUserInboundEventTriggered(Start()) }
    let samples = try done.futureResult.wait()
    try near.close().wait()
    try far.close().wait()
    return samples
  }

  func oneWay(size: Int, nanoseconds: UInt64, offload: Bool) throws -> Rate {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    defer { try? group.syncShutdownGracefully() }
    let total = Total()
    let slotBytes = offload ? 65_536 : (size < 2_048 ? 2_048 : 65_536)
    let far = try open(on: group.next(), offload: offload, slots: 16, slotBytes: slotBytes) {
      Counter(total: total, size: size)
    }
    let done = group.next().makePromise(of: Int.self)
    let target = far.localAddress!
    let near = try open(on: done.futureResult.eventLoop, offload: false, slots: 1, slotBytes: 2_048) {
      Flood(target: target, size: size, nanoseconds: nanoseconds, offload: offload, done: done)
    }
    near.eventLoop.execute { near.pipeline.fireUserInboundEventTriggered(Start()) }
    let sent = try done.futureResult.wait()
    try near.close().wait()
    try far.close().wait()
    return Rate(sent: sent, received: total.datagrams)
  }
}

private struct Start: Sendable {}

private final class Echo: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  typealias OutboundOut = AddressedEnvelope<ByteBuffer>

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    context.write(data, promise: nil)
  }

  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
}

private final class Pinger: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  typealias OutboundOut = AddressedEnvelope<ByteBuffer>

  private let envelope: AddressedEnvelope<ByteBuffer>
  private let duration: UInt64
  private let done: EventLoopPromise<[UInt32]>
  private var end: UInt64 = 0
  private var start: UInt64 = 0
  private var samples: [UInt32] = []

  init(target: SocketAddress, size: Int, nanoseconds: UInt64, done: EventLoopPromise<[UInt32]>) {
    envelope = AddressedEnvelope(remoteAddress: target, data: ByteBuffer(repeating: 0, count: size))
    duration = nanoseconds
    self.done = done
    samples.reserveCapacity(1 << 18)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    end = NIODeadline.now().uptimeNanoseconds + duration
    send(context: context)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let now = NIODeadline.now().uptimeNanoseconds
    samples.append(UInt32(now - start))
    if now >= end { done.succeed(samples) } else { send(context: context) }
  }

  private func send(context: ChannelHandlerContext) {
    start = NIODeadline.now().uptimeNanoseconds
    context.writeAndFlush(wrapOutboundOut(envelope), promise: nil)
  }
}

private final class Counter: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>

  private let total: Total
  private let size: Int

  init(total: Total, size: Int) {
    self.total = total
    self.size = size
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    guard let segment = envelope.metadata?.segmentSize else {
      if envelope.data.readableBytes == size { total.datagrams += 1 }
      return
    }
    // Walk through the datagrams that were joined, as a user would.
    var data = envelope.data
    while data.readableBytes > 0, let part = data.readSlice(length: min(segment, data.readableBytes)) {
      if part.readableBytes == size { total.datagrams += 1 }
    }
  }
}

private final class Flood: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  typealias OutboundOut = AddressedEnvelope<ByteBuffer>

  private let envelope: AddressedEnvelope<ByteBuffer>
  private let perWrite: Int
  private let writesPerFlush: Int
  private let duration: UInt64
  private let done: EventLoopPromise<Int>
  private var end: UInt64 = 0
  private var sent = 0

  init(target: SocketAddress, size: Int, nanoseconds: UInt64, offload: Bool, done: EventLoopPromise<Int>) {
    perWrite = offload ? min(64, 65_507 / size) : 1
    writesPerFlush = offload ? 4 : 64
    let metadata = AddressedEnvelope<ByteBuffer>.Metadata(
      ecnState: .transportNotCapable, packetInfo: nil, segmentSize: size)
    envelope = AddressedEnvelope(
      remoteAddress: target, data: ByteBuffer(repeating: 0, count: size * perWrite),
      metadata: perWrite > 1 ? metadata : nil)
    duration = nanoseconds
    self.done = done
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    end = NIODeadline.now().uptimeNanoseconds + duration
    turn(context: context)
  }

  private func turn(context: ChannelHandlerContext) {
    guard NIODeadline.now().uptimeNanoseconds < end else { return done.succeed(sent) }
    for _ in 1..<writesPerFlush { context.write(wrapOutboundOut(envelope), promise: nil) }
    let written = context.eventLoop.makePromise(of: Void.self)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    written.futureResult.whenComplete { result in
      let (handler, context) = bound.value
      if case .success = result { handler.sent += handler.writesPerFlush * handler.perWrite }
      // From the loop, not from inside the write: otherwise the stack would grow.
      context.eventLoop.execute { bound.value.0.turn(context: bound.value.1) }
    }
    context.writeAndFlush(wrapOutboundOut(envelope), promise: written)
  }
}
