import GlueCore
import GlueQuorum
import Testing

@Suite struct MembershipTests {
  @Test(arguments: [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (9, 5)])
  func aMajorityIsMoreThanHalf(voters: Int, majority: Int) {
    let members = (1...voters).map { MemberID(EndpointID(UInt64($0)), StorageID(UInt64($0))) }
    #expect(Membership(voters: members).majority == majority)
  }
}
