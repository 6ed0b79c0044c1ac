/// Finds the rules that may drop Glue's datagrams in what `nft list ruleset` and `iptables-save` print. It understands the
/// common forms only, and so gives hints, no verdicts.
enum FirewallRules {
  typealias Rule = DoctorFacts.Firewall.Rule

  /// Where packets for this host's programs pass.
  private static let hooks = ["hook input", "hook ingress", "hook prerouting", "hook output"]

  /// Reads the output of `nft list ruleset`.
  static func suspicious(nft text: String) -> [Rule] {
    var rules: [Rule] = []
    var table = ""
    var chain = ""
    var isBase = false
    var policy: Rule?
    var isAccepted = false
    for line in text.split(separator: "\n") {
      let rule = line.trimmed
      if rule.hasPrefix("table ") {
        table = rule.dropFirst(6).dropLast(rule.hasSuffix("{") ? 1 : 0).trimmed
      } else if rule.hasPrefix("chain ") {
        chain = rule.dropFirst(6).dropLast(rule.hasSuffix("{") ? 1 : 0).trimmed
        (isBase, policy, isAccepted) = (false, nil, false)
      } else if rule.hasPrefix("type ") {
        isBase = hooks.contains(where: rule.contains)
        if isBase, rule.contains("policy drop") {
          policy = Rule(
            text: "nft: table \(table), chain \(chain): policy drop",
            command: "nft insert rule \(table) \(chain) ip saddr NETWORK/24 meta l4proto udp accept")
        }
      } else if rule == "}" {
        if let policy, !isAccepted { rules.append(policy) }
        policy = nil
      } else if isBase, concernsGlue(rule) {
        let words = rule.split(separator: " ")
        if words.contains("drop") || words.contains("reject") {
          rules.append(
            Rule(
              text: "nft: table \(table), chain \(chain): \(rule)",
              command: "nft insert rule \(table) \(chain) udp dport 27320 accept"))
        } else if words.contains("accept") {
          isAccepted = true
        }
      }
    }
    return rules
  }

  /// Reads the output of `iptables-save` or `ip6tables-save`.
  static func suspicious(iptables text: String, command: String = "iptables") -> [Rule] {
    var rules: [Rule] = []
    var isAccepted = false
    var policies: [Rule] = []
    for line in text.split(separator: "\n").map(\.trimmed) {
      for chain in ["INPUT", "OUTPUT"] {
        let mend = "\(command) -I \(chain) -p udp --dport 27320 -j ACCEPT"
        if line.hasPrefix(":\(chain) DROP") {
          policies.append(
            Rule(
              text: "\(command): chain \(chain): policy DROP",
              command: "\(command) -I \(chain) -p udp -s NETWORK/24 -j ACCEPT"))
        } else if line.hasPrefix("-A \(chain) "), concernsGlue(line) {
          if line.contains("-j DROP") || line.contains("-j REJECT") {
            rules.append(Rule(text: "\(command): \(line)", command: mend))
          } else if line.contains("-j ACCEPT") {
            isAccepted = true
          }
        }
      }
    }
    return rules + (isAccepted ? [] : policies)
  }

  /// Whether a rule names Glue's port, its groups, multicast, or UDP as a whole; or takes everything.
  private static func concernsGlue(_ rule: String) -> Bool {
    let marks = ["27320", "239.192.137.1", "ff12::efc0:8901", "224.0.0.0/4", "ff00::/8", "multicast", "239.0.0.0/8"]
    if marks.contains(where: rule.contains) { return true }
    let isUDP = ["l4proto udp", "protocol udp", "-p udp"].contains(where: rule.contains)
    if isUDP, !rule.contains("port") { return true }
    // The counter of nftables stands before the verdict.
    let words = rule.split(separator: " ")
    let bare = (words.first == "counter" ? words.dropFirst(5) : words[...]).joined(separator: " ")
    return ["drop", "reject", "-A INPUT -j DROP", "-A INPUT -j REJECT", "-A OUTPUT -j DROP"].contains(
      where: bare.hasPrefix)
  }
}

extension StringProtocol {
  /// Without spaces around it.
  fileprivate var trimmed: String {
    String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
  }
}
