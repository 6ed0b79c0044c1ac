import GlueCore

/// Who decides, and who only listens. Each list is in order and without duplicates; nobody is in both.
public struct Membership: Hashable, Sendable {
  /// How many voters there may be. More make every commit slower, and survive hardly more.
  public static let voterLimit = 9
  /// How many learners there may be.
  public static let learnerLimit = 9

  /// Whose votes and acknowledgements count.
  public private(set) var voters: [MemberID]
  /// Who gets the log without a vote.
  public private(set) var learners: [MemberID]

  /// Puts the lists in order.
  public init(voters: [MemberID], learners: [MemberID] = []) {
    self.voters = Set(voters).sorted()
    self.learners = Set(learners).subtracting(voters).sorted()
  }

  /// Why these cannot be the first voters; `nil` if they can: 1, 3, 5, 7 or 9 of them, each once. An even number survives no more than one less.
  public static func problem(withFirst voters: [EndpointID]) -> String? {
    if Set(voters).count != voters.count { return "one is named twice" }
    if voters.count % 2 == 0 || voters.count > voterLimit {
      return "there are \(voters.count), and may be 1, 3, 5, 7 or 9"
    }
    return nil
  }

  /// How many voters decide.
  public var majority: Int { voters.count / 2 + 1 }

  /// Whether somebody is in it.
  public func contains(_ member: MemberID) -> Bool { isVoter(member) || learners.contains(member) }
  /// Whether somebody has a vote.
  public func isVoter(_ member: MemberID) -> Bool { voters.contains(member) }
  /// All of them, in order.
  public var all: [MemberID] { (voters + learners).sorted() }
}
