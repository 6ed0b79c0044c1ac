import Testing

@testable import Glue

@Suite("What full sockets have dropped")
struct QueueDropsTests {
  @Test("Each loss is told once, across the end of the system's count")
  func growth() {
    var drops = QueueDrops()
    #expect(drops.note(3, sentToGroups: 0) == 3)
    #expect(drops.note(3, sentToGroups: 0) == 0)
    #expect(drops.note(.max, sentToGroups: 0) == UInt64(UInt32.max) - 3)
    #expect(drops.note(1, sentToGroups: 0) == 2)
  }

  @Test("What the filter has rejected is not lost")
  func own() {
    var drops = QueueDrops(sentToGroups: 1_000)
    #expect(drops.note(90, sentToGroups: 1_100) == 0)
    #expect(drops.note(105, sentToGroups: 1_100) == 5)
    // Written, and not sent yet.
    #expect(drops.note(105, sentToGroups: 1_150) == 0)
    #expect(drops.note(155, sentToGroups: 1_150) == 0)
    #expect(drops.note(156, sentToGroups: 1_150) == 1)
  }
}
