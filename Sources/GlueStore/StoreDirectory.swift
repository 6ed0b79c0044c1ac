#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The directory that a store lies in.
enum StoreDirectory {
  /// Makes sure that it is there and can be written. Its parent must exist. What is made is for this user's eyes only: messages
  /// that travelled sealed lie in it open.
  static func prepare(_ path: String) throws(StoreError) {
    if mkdir(path, 0o700) == 0 {
      syncEntry(of: path)
    } else if errno != EEXIST {
      let code = errno
      let kind: StoreError.Kind =
        switch code {
        case ENOENT, ENOTDIR: .notADirectory
        case ENOSPC, EDQUOT: .full
        case EIO: .inputOutput
        default: .notPermitted
        }
      throw StoreError(kind, "make", path, reason: text(code), expected: "a directory, or a writable one to make it in")
    }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw StoreError(.notADirectory, "open", path, reason: "it is not a directory", expected: "a directory")
    }
    guard access(path, R_OK | W_OK | X_OK) == 0 else {
      throw StoreError(
        .notPermitted, "open", path, reason: text(errno), expected: "a directory that this user may read and write")
    }
  }

  /// Makes an empty file for this user's eyes only, if there is none; SQLite gives the files beside it the same mode. One that is
  /// there is not opened: closing it again would let go the locks that SQLite has on it in this process
  /// (https://sqlite.org/howtocorrupt.html, 2.2).
  static func makeFile(_ path: String) {
    let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if file >= 0 { close(file) }  // SQLite tells of whatever is wrong
  }

  /// A name of any kind as part of a file's name.
  static func escaped(_ name: String) -> String {
    var text = ""
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return text
  }

  /// A new directory survives power loss once its parent is synced. Where that cannot be done, nothing is to be done about it.
  private static func syncEntry(of path: String) {
    let parent = open(path + "/..", O_RDONLY | O_CLOEXEC)
    guard parent >= 0 else { return }
    fsync(parent)
    close(parent)
  }

  private static func text(_ code: CInt) -> String { String(cString: strerror(code)) }
}
