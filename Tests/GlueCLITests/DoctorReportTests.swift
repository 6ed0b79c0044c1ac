import Foundation
import GlueAddress
import Testing

@testable import GlueCLI

/// How `glue doctor` reads packet filters, and how it says what it has found.
@Suite struct DoctorReportTests {
  @Test func rulesOfNFTables() {
    let ruleset = """
      table inet filter {
      	chain input {
      		type filter hook input priority filter; policy drop;
      		ct state established,related accept
      		tcp dport 22 accept
      	}
      	chain forward {
      		type filter hook forward priority filter; policy drop;
      		udp dport 27320 drop
      	}
      }
      table ip guard {
      	chain in {
      		type filter hook input priority 0; policy accept;
      		udp dport 27320 counter packets 3 bytes 400 drop
      		tcp dport 80 drop
      		ip daddr 224.0.0.0/4 reject
      	}
      }
      """
    let rules = FirewallRules.suspicious(nft: ruleset)
    #expect(
      rules.map(\.text) == [
        "nft: table inet filter, chain input: policy drop",
        "nft: table ip guard, chain in: udp dport 27320 counter packets 3 bytes 400 drop",
        "nft: table ip guard, chain in: ip daddr 224.0.0.0/4 reject",
      ])
    #expect(rules[1].command == "nft insert rule ip guard in udp dport 27320 accept")
    #expect(FirewallRules.suspicious(nft: "").isEmpty)
    // What is left at the end of a chain.
    for rest in ["drop", "counter packets 1 bytes 2 drop", "reject with icmpx admin-prohibited"] {
      let chain = "table ip t {\n chain c {\n type filter hook input priority 0;\n \(rest)\n }\n}"
      #expect(FirewallRules.suspicious(nft: chain).count == 1, "\(rest)")
    }
    // A policy that lets Glue pass.
    let open = ruleset.replacing("tcp dport 22 accept", with: "udp dport 27320 accept")
    #expect(FirewallRules.suspicious(nft: open).count == 2)
  }

  @Test func rulesOfIPTables() {
    let rules = FirewallRules.suspicious(
      iptables: """
        *filter
        :INPUT DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        -A INPUT -i lo -j ACCEPT
        -A INPUT -p udp -m udp --dport 27320 -j REJECT
        -A INPUT -p tcp --dport 23 -j DROP
        COMMIT
        """)
    #expect(
      rules.map(\.text) == [
        "iptables: -A INPUT -p udp -m udp --dport 27320 -j REJECT", "iptables: chain INPUT: policy DROP",
      ])
    let open = FirewallRules.suspicious(
      iptables: ":INPUT DROP [0:0]\n-A INPUT -p udp -m pkttype --pkt-type multicast -j ACCEPT")
    #expect(open.isEmpty)
  }

  @Test func peopleReadLines() {
    let lines = DoctorReport.lines([
      Finding(
        .problem, .nobody, String(repeating: "word ", count: 40), evidence: ["seen\u{1B}[31m"], commands: ["do it"]),
      Finding(.note, .otherInterfaces, "a note", commands: ["or that"]),
    ])
    #expect(lines[0].hasPrefix("PROBLEM  word word") && lines[1].hasPrefix("         word"))
    #expect(lines.allSatisfy { $0.count <= 96 }, "\(lines)")
    // What others call themselves does not steer the terminal.
    #expect(lines.contains("         - seen\\u{1b}[31m"))
    #expect(lines.contains("           do it") && lines.contains("note     a note [other-interfaces]"))
    #expect(lines.last == "1 problem.")
  }

  @Test func programsReadJSON() throws {
    let facts = DoctorFacts.healthy { $0.path.otherNetworks = [7: 1] }
    let finding = Finding(
      .problem, .typeMismatch, "a \"text\"", evidence: ["one", "two"], commands: ["chronyc   # on both hosts"])
    let lines = DoctorReport.jsonLines([finding], facts).map { line in
      try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    }
    #expect(lines.count == 2)
    let first = try #require(lines[0])
    #expect(first["severity"] as? String == "problem" && first["code"] as? String == "type-mismatch")
    #expect(first["text"] as? String == "a \"text\"" && first["evidence"] as? [String] == ["one", "two"])
    #expect(first["commands"] as? [String] == ["chronyc"])
    let summary = try #require(lines[1])
    #expect(summary["problems"] as? Int == 1 && summary["well"] as? Bool == false)
    #expect(summary["interface"] as? String == "eth0" && summary["peers"] as? Int == 1)
  }

  @Test func everyCodeIsDocumented() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let document = try String(contentsOf: root.appendingPathComponent("docs/doctor.md"), encoding: .utf8)
    for code in Finding.Code.allCases {
      #expect(document.contains("| `\(code.rawValue)` |"), "docs/doctor.md does not explain \(code.rawValue)")
    }
  }
}
