// swift-tools-version: 6.2
import PackageDescription

/// Warnings are errors in every target; CI relies on it.
let settings: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// The small programs under Examples/Layers: one per layer, each with only what that layer needs.
let layerExamples: [Target] = [
  ("Network", ["GlueNetwork", "GlueAddress"]), ("Serialization", ["GlueCore"]),
  ("Discovery", ["GlueCore", "GlueAddress"]), ("Transport", ["GlueCore", "GlueAddress"]),
  ("Fragmentation", ["GlueCore"]), ("Topics", ["GlueCore", "GlueAddress"]),
].map { layer, modules in
  .executableTarget(
    name: "\(layer)Example", dependencies: modules.map { .byName(name: $0) }, path: "Examples/Layers/\(layer)",
    swiftSettings: settings + [.defaultIsolation(MainActor.self)])
}

let package = Package(
  name: "glue",
  platforms: [.macOS(.v15), .iOS(.v18)],
  products: [
    .library(name: "Glue", targets: ["Glue"]),
    .library(name: "GlueCore", targets: ["GlueCore"]),
    .library(name: "GlueModel", targets: ["GlueModel"]),
    .library(name: "GlueQuorum", targets: ["GlueQuorum"]),
    .library(name: "GlueNetwork", targets: ["GlueNetwork", "GlueAddress"]),
    .library(name: "GlueStore", targets: ["GlueStore"]),
    .executable(name: "glue", targets: ["GlueCLI"]),
    .executable(name: "simple-endpoint", targets: ["SimpleEndpoint"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.2.0"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.0.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
  ],
  targets: [
    // The vocabulary that both sides of the I/O seam share: IP and socket addresses. Imports nothing.
    .target(name: "GlueAddress", swiftSettings: settings),

    // The sans-I/O core: Serialization, Discovery, Transport, Fragmentation, Topics, Endpoint. No sockets, clocks,
    // tasks, locks or Foundation.
    .target(
      name: "GlueCore",
      dependencies: [
        "GlueAddress",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "OrderedCollections", package: "swift-collections"),
      ],
      swiftSettings: settings),

    // Replicated documents and the machine that keeps replicas of them in sync. Sans-I/O, as the core.
    .target(
      name: "GlueModel",
      dependencies: ["GlueCore", .product(name: "DequeModule", package: "swift-collections")],
      swiftSettings: settings),

    // Quorum models: Raft, its log, the replicated state and the machine that joins them. Sans-I/O, as the core.
    .target(
      name: "GlueQuorum",
      dependencies: ["GlueCore", "GlueModel", .product(name: "DequeModule", package: "swift-collections")],
      swiftSettings: settings),

    // Sockets, interfaces, multicast, polling. Knows no protocol.
    .target(name: "CGlueNetwork", path: "Sources/CGlueNetwork"),
    .target(name: "GlueNetwork", dependencies: ["GlueAddress", "CGlueNetwork"], swiftSettings: settings),

    // What a cache holds, on disk. SQLite through GRDB.
    .target(
      name: "GlueStore",
      dependencies: [
        "GlueCore", "GlueModel", "GlueQuorum", "GlueNetwork", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),

    // Many cores in virtual time on a faulty network, with checkers.
    .target(
      name: "GlueSimulation", dependencies: ["GlueAddress", "GlueCore", "GlueModel", "GlueQuorum"],
      swiftSettings: settings),

    // The public API and the driver that joins core and network.
    .target(
      name: "Glue",
      dependencies: [
        "GlueAddress", "GlueCore", "GlueModel", "GlueQuorum", "GlueNetwork",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      // Async functions run on their caller's actor: a hop costs more than publishing a message.
      swiftSettings: settings + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),

    .executableTarget(
      name: "GlueCLI",
      dependencies: [
        "Glue", "GlueAddress", "GlueModel", "GlueQuorum", "GlueSimulation", "GlueStore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "SimpleEndpoint",
      dependencies: [
        "Glue",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Examples/SimpleEndpoint",
      swiftSettings: settings),

    // The README's programs, word by word.
    .executableTarget(
      name: "ReadmeSubscriber", dependencies: ["Glue"], path: "Examples/Readme/Subscriber", swiftSettings: settings),
    .executableTarget(
      name: "ReadmePublisher", dependencies: ["Glue"], path: "Examples/Readme/Publisher", swiftSettings: settings),
    .executableTarget(
      name: "ReadmeTour", dependencies: ["Glue"], path: "Examples/Readme/Tour", swiftSettings: settings),
    .executableTarget(
      name: "ReadmeHome", dependencies: ["Glue"], path: "Examples/Readme/Home", swiftSettings: settings),
    .executableTarget(
      name: "ReadmeVault", dependencies: ["Glue", "GlueStore"], path: "Examples/Readme/Vault", swiftSettings: settings),

    // Hostile bytes and operations against the core and models, seeded and without instrumentation.
    .executableTarget(
      name: "GlueFuzz",
      dependencies: [
        "GlueAddress", "GlueCore", "GlueModel", "GlueQuorum",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Fuzz/GlueFuzz",
      swiftSettings: settings),

    // Floods of hostile datagrams on a real network, for the namespace tests.
    .executableTarget(
      name: "GlueFlood",
      dependencies: [
        "GlueAddress", "GlueCore", "GlueNetwork",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Fuzz/GlueFlood",
      swiftSettings: settings),

    .testTarget(
      name: "GlueCoreTests", dependencies: ["GlueCore", "GlueAddress", "GlueFuzz"], swiftSettings: settings),
    .testTarget(
      name: "GlueModelTests", dependencies: ["GlueModel", "GlueCore", "GlueFuzz"], swiftSettings: settings),
    .testTarget(
      name: "GlueQuorumTests", dependencies: ["GlueQuorum", "GlueModel", "GlueCore", "GlueSimulation", "GlueFuzz"],
      swiftSettings: settings),
    // Writes to a store until it is killed, for the tests of the store.
    .executableTarget(
      name: "StoreVictim", dependencies: ["GlueStore", "GlueCore"], path: "Tests/StoreVictim", swiftSettings: settings),
    .testTarget(
      name: "GlueStoreTests",
      dependencies: [
        "GlueStore", "GlueCore", "GlueModel", "GlueQuorum", "StoreVictim",
        .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),
    .testTarget(name: "GlueNetworkTests", dependencies: ["GlueNetwork", "GlueAddress"], swiftSettings: settings),
    .testTarget(
      name: "GlueSimulationTests",
      dependencies: ["GlueSimulation", "GlueModel", "GlueQuorum", "GlueCore", "GlueAddress"],
      swiftSettings: settings),
    .testTarget(
      name: "GlueTests",
      dependencies: [
        "Glue", "GlueAddress", "GlueCore", "GlueStore",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "GlueCLITests",
      dependencies: [
        "Glue", "GlueAddress", "GlueCLI", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
  ] + layerExamples,
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
