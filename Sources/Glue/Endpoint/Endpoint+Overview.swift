import GlueCore

extension Endpoint {
  /// Asks all peers which topics there are: who publishes them, who subscribes to them, and who holds what for those who come
  /// later.
  ///
  /// It only asks: no data is sent for it, and nobody counts this endpoint as a subscriber. Each peer answers with some 100 bytes
  /// for each topic that it publishes, and for each stream that it holds of a publisher which is not there; twice if rates are
  /// measured. Publishers say how much they have published, so rates cost no more where more is published.
  ///
  /// Right after the start nobody else is known yet; `span` gives the time to meet them. A peer that has more topics than ten times its ``TopicsConfiguration/mismatchesPerSecond`` leaves some out, and is then among
  /// ``TopicOverview/incomplete``.
  ///
  /// - Parameters:
  ///   - filter: A topic's name, or a filter. `#`: all topics but those that begin with `$`.
  ///   - span: How long to measure rates; endpoints that come meanwhile are asked as well. `nil`: no rates.
  ///   - timeout: How long to wait for the answers, after `span`. It returns as soon as they are there.
  /// - Returns: What has been answered by then.
  /// - Throws: ``EndpointFailure`` if the filter is invalid, there are too many subscriptions, or the endpoint is shut down;
  ///   `CancellationError` if the task is cancelled.
  public func topics(
    matching filter: String = "#", measuringFor span: Duration? = nil, timeout: Duration = .seconds(1)
  ) async throws -> TopicOverview {
    var first: SubscriptionID?
    defer { if let first { endInquiry(first) } }
    if let span {
      first = try inquire(about: filter)
      try await Task.sleep(for: span)
    }
    let last = try inquire(about: filter)
    defer { endInquiry(last) }
    let outcome = await driver.wait(for: .answers, timeout: timeout) { $0.machine.isAnswered(last) }
    switch outcome {
    case .ready, .timedOut: break
    case .cancelled: throw CancellationError()
    case .stopped: throw failure ?? EndpointFailure.stopped
    }
    return TopicOverview(of: filter, first: first.map(survey) ?? [], last: survey(last))
  }
}
