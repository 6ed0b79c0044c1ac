import GlueCore

/// A model that somebody has open.
public struct ModelOverview: Hashable, Sendable {
  /// Its name.
  public let name: String
  /// Who has it open, by endpoint ID.
  public let replicas: [TopicOverview.Party]
}

extension Endpoint {
  /// Which models there are: asks all peers, as ``topics(matching:measuringFor:timeout:)`` does.
  ///
  /// - Parameters:
  ///   - span: How long to wait for peers first: right after the start nobody else is known yet. `nil`: not at all.
  ///   - timeout: How long to wait for answers then.
  /// - Returns: What has been answered by then.
  /// - Throws: ``EndpointFailure``; `CancellationError` if the task is cancelled.
  public func models(meetingFor span: Duration? = nil, timeout: Duration = .seconds(1)) async throws -> [ModelOverview]
  {
    let overview = try await topics(matching: ModelLink.sharedPrefix + "#", measuringFor: span, timeout: timeout)
    return overview.topics.compactMap { topic in
      let replicas = topic.subscriptions.filter { $0.filter == topic.name }
      guard !replicas.isEmpty else { return nil }
      return ModelOverview(
        name: String(topic.name.dropFirst(ModelLink.sharedPrefix.count)), replicas: replicas.map(\.party))
    }
  }
}
