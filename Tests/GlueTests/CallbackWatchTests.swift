import Testing

@testable import Glue

@Suite("The watch over callbacks")
struct CallbackWatchTests {
  @Test("It does not park while others take it for awake")
  func watch() {
    var step = CallbackWatch.Step.park
    func look(isDue: Bool, isAwake: Bool) -> CallbackWatch.Step {
      step = CallbackWatch.step(isDue: isDue, isAwake: isAwake, after: step)
      return step
    }
    #expect(look(isDue: true, isAwake: true) == .watch)
    #expect(look(isDue: false, isAwake: true) == .leave)
    // Woken by an endpoint that was closed before the look.
    #expect(look(isDue: false, isAwake: true) == .leave)
    #expect(look(isDue: false, isAwake: false) == .park)
    #expect(look(isDue: false, isAwake: true) == .leave)
    #expect(look(isDue: true, isAwake: false) == .watch)
  }
}
