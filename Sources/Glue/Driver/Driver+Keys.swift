import GlueCore

extension Driver {
  /// How often a key file is looked at: a change of the key takes a while anyway, since it has to be made on every host.
  private static let keyFileInterval = Duration.seconds(1)

  func changeNetworkKeys(to keys: [NetworkKey]) {
    try? submit { (state, now) in state.machine.changeKeys(to: keys, at: now) }
    log.logger.notice("network keys changed", metadata: ["keys": "\(keys)"])
  }

  /// Warns of a key file that others than its owner can read.
  func warnOfReaders(of file: NetworkKeyFile) {
    guard let readers = file.otherReaders else { return }
    log.logger.warning(
      "the key file can be read by \(readers); it should be its owner's alone (chmod go= FILE)",
      metadata: ["file": "\(file.path)"])
  }

  /// Reads a key file again whenever it has changed, until the driver is gone. What cannot be used is reported, and the keys
  /// remain as they are.
  static func followKeyFile(
    _ file: NetworkKeyFile, readAt stamp: NetworkKeyFile.Stamp?, driver: () -> Driver?
  ) async {
    var stamp = stamp
    while true {
      do { try await Task.sleep(for: keyFileInterval) } catch { return }
      let current = file.stamp()
      guard current != stamp else { continue }
      stamp = current
      guard let driver = driver() else { return }
      do throws(ConfigurationError) {
        driver.changeNetworkKeys(to: try file.read())
        driver.warnOfReaders(of: file)
      } catch {
        driver.log.logger.error("network keys not changed", metadata: ["reason": "\(error)"])
        driver.broadcast(.keyFileUnusable("\(error)"))
      }
    }
  }
}
