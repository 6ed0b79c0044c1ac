import GlueCore
import GlueModel

/// What is known from above of the models of a run, and who checks it.
package struct ModelBooks {
  /// Who wrote what.
  package var ledger = ModelLedger()
  /// What each opening that is not over has.
  package var views: [Opening: ModelView] = [:]

  var convergence = ModelConvergence()
  var integrity = ModelIntegrity()
  var retention = ModelRetention()
  var transactions = ModelTransactions()
  var noReturn = ModelNoReturn()
  var durability = ModelDurability()
  var watching = ModelWatching()

  package init() {}
}

extension Recorder {
  /// The number of the next opening.
  mutating func nextOpening() -> Opening {
    report.models.openings += 1
    return Opening(report.models.openings)
  }

  /// A model was opened.
  mutating func opened(_ model: SimulatedModel, at now: Timestamp) {
    let document = model.replica.document
    trace.note(.modelOpened, model.endpoint.life, model.opening, at: now)
    if let disk = model.disk {
      let content = disk.content ?? .empty
      judge(
        .modelDurability, models.durability.loaded(content, as: document, by: model.opening, from: disk.number), at: now
      )
      if !content.context.isEmpty { report.models.loaded += 1 }
    }
    models.views[model.opening] = ModelView(
      opening: model.opening, context: document.context, held: document.liveDots(within: document.context))
    models.watching.began(model.opening, with: document.leaves(under: .root))
  }

  /// A model was closed, or its endpoint has ended.
  mutating func closed(_ model: SimulatedModel, at now: Timestamp) {
    trace.note(.modelClosed, model.endpoint.life, model.opening, at: now)
    models.views[model.opening] = nil
    models.watching.ended(model.opening)
    report.models.add(model.replica.counters)
  }

  /// A transaction was refused.
  mutating func refused(_ model: SimulatedModel, hasChanged: Bool, at now: Timestamp) {
    report.models.refused += 1
    judge(.modelTransactions, models.transactions.refused(at: model.opening, hasChanged: hasChanged), at: now)
  }

  /// Something happened that an owner should know.
  mutating func happened(_ event: ReplicaEvent, at model: SimulatedModel) {
    switch event {
    case .rewritten(let count): report.models.rewritten += UInt64(count)
    case .clockSkew: report.models.clockSkews += 1
    case .limitReached: report.models.limits += 1
    case .invalidMessage, .unknownVersion, .storeFailed, .storeRecovered, .identityTaken: break
    }
  }

  /// A replica has done something, and told its watchers of it.
  mutating func changed(_ model: SimulatedModel, told: [[ModelChange]], isLocal: Bool, at now: Timestamp) {
    let opening = model.opening
    let document = model.replica.document
    trace.note(
      .modelChanged, model.endpoint.life, opening, Int(truncatingIfNeeded: model.replica.revision),
      Int(truncatingIfNeeded: document.digest), at: now)
    for changes in told { judge(.modelWatching, models.watching.told(changes, at: opening), at: now) }
    judge(.modelWatching, models.watching.shows(document.leaves(under: .root), at: opening), at: now)
    // Of damaged transactions nobody knows who wrote them.
    guard !ignoresContent, let old = models.views[opening] else { return }
    var held = document.liveDots(within: document.context)
    if let shown = model.mutation?.held(held) { held = shown }
    let new = ModelView(opening: opening, context: document.context, held: held)
    models.views[opening] = new
    let (appeared, gone) = old.difference(to: new)
    let entries = document.entries(of: appeared.lazy.map(\.dot))
    if let written = newOperation(of: document.replica, from: old, to: new) {
      // What a replica writes anew replaces nothing.
      let removed = isLocal ? gone : gone.filter { $0.replica == document.replica }
      let isOld: (LiveDot) -> Bool = { $0.dot.replica == document.replica && !written.contains($0.dot.counter) }
      models.ledger.wrote(
        ModelLedger.Operation(counters: written, removed: removed, folded: appeared.filter(isOld)),
        entries: entries.filter { $0.dot.replica == document.replica }, by: document.replica)
      report.models.written += 1
    }
    let seen = old.operations(seenBy: new, in: models.ledger)
    judge(.modelIntegrity, models.integrity.appeared(entries, at: opening, in: models.ledger), at: now)
    judge(.modelIntegrity, models.integrity.changed(from: old, to: new, in: models.ledger), at: now)
    judge(
      .modelRetention,
      models.retention.changed(from: old, to: new, seen: seen, gone: gone, in: models.ledger), at: now)
    judge(.modelTransactions, models.transactions.changed(to: new, seen: seen), at: now)
    judge(.modelNoReturn, models.noReturn.changed(from: old, to: new, seen: seen, appeared: appeared), at: now)
    report.models.generation = max(report.models.generation, UInt64(new.context.generation))
  }

  /// The changes that a replica has made since.
  private func newOperation(of replica: ReplicaID, from old: ModelView, to new: ModelView) -> Range<UInt64>? {
    let counters = new.context.seen[replica].subtracting(old.context.seen[replica])
    guard let first = counters.ranges.first else { return nil }
    return first.lowerBound..<counters.end
  }
}
