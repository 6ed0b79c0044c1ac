// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that Glue does not depend on swift-nio.
let package = Package(
  name: "NetworkComparison",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "glue", path: "../.."),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
  ],
  targets: [
    .target(name: "CRawSockets"),
    .executableTarget(
      name: "NetworkComparison",
      dependencies: [
        "CRawSockets",
        .product(name: "GlueNetwork", package: "glue"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
