/// Where the messages of a subscription go.
enum Sink: Sendable {
  case callback(CallbackSink)
  case queue(DeliveryQueue)

  var filter: String {
    switch self {
    case .callback(let sink): sink.filter
    case .queue(let queue): queue.filter
    }
  }
}
