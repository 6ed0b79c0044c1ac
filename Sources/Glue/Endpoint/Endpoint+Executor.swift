extension Endpoint {
  /// Runs tasks on the endpoint's own thread, where messages come in and leave: a message reaches a task that waits for it, and
  /// what the task then publishes reaches the network, without a change of threads.
  ///
  /// ```swift
  /// Task(executorPreference: endpoint.executor) {
  ///   for await question in try endpoint.subscribe(to: "questions") {
  ///     try await answers.publish(question.bytes)
  ///   }
  /// }
  /// ```
  ///
  /// For tasks that wait for messages most of their time, and do little with each. While such a task computes, the rest of the
  /// endpoint waits, for some 20 ms at most. Then another thread takes over, and an
  /// ``Event/slowCallback(filter:duration:isOver:)`` with an empty filter tells. What such a thread costs, and how many there can
  /// be, is as for callbacks: ``Configuration/callbackThreadLimit``. While there are so many, and before the start and after the end of
  /// the endpoint, the tasks run on Swift's global executor.
  ///
  /// Several tasks that prefer it take turns as a rule, but nothing keeps them from running at the same time.
  public var executor: any TaskExecutor { driver }
}
