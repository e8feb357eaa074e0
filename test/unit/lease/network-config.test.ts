// lease/network-config: flannel's derived defaults, and one clear sentence for every fault.
import t from "tap";
import { HopsackError } from "../../../src/errors.js";
import { type NetworkConfig, parseNetworkConfig } from "../../../src/lease/network-config.js";
import { formatPrefix } from "../../../src/net/prefix.js";

function parse(object: unknown): NetworkConfig {
  return parseNetworkConfig(JSON.stringify(object), "net.json");
}

function ranges(config: NetworkConfig): (string | number | null)[] {
  const text = (prefix: NetworkConfig["networkV6"]): string | null => (prefix === null ? null : formatPrefix(prefix));
  return [config.subnetLen, text(config.subnetMin), text(config.subnetMax)].concat(
    config.networkV6 === null ? [] : [config.subnetLenV6, text(config.subnetMinV6), text(config.subnetMaxV6)],
  );
}

const V6 = { Network: "10.0.0.0/16", EnableIPv6: true };

t.test("derives flannel's defaults for IPv4", async (t) => {
  const expected: [string, number, string, string][] = [
    ["10.244.0.0/16", 24, "10.244.1.0/24", "10.244.255.0/24"],
    ["10.0.0.0/8", 24, "10.0.1.0/24", "10.255.255.0/24"],
    ["10.0.0.0/22", 24, "10.0.1.0/24", "10.0.3.0/24"],
    ["10.0.0.0/23", 25, "10.0.0.128/25", "10.0.1.128/25"],
    ["10.0.0.0/28", 30, "10.0.0.4/30", "10.0.0.12/30"],
  ];
  for (const [network, ...range] of expected) t.same(ranges(parse({ Network: network })), range, network);
  t.equal(parse({ Network: "10.0.0.0/16" }).networkV6, null);
});

t.test("derives flannel's defaults for IPv6", async (t) => {
  const expected: [string, number, string, string][] = [
    ["fd00::/48", 64, "fd00:0:0:1::/64", "fd00:0:0:ffff::/64"],
    ["fd00::/62", 64, "fd00:0:0:1::/64", "fd00:0:0:3::/64"],
    ["fd00::/63", 65, "fd00::8000:0:0:0/65", "fd00:0:0:1:8000::/65"],
    ["fd00::/124", 126, "fd00::4/126", "fd00::c/126"],
  ];
  for (const [network, ...range] of expected)
    t.same(ranges(parse({ ...V6, IPv6Network: network })).slice(3), range, network);
});

t.test("takes given lengths and bounds, the zero address meaning none", async (t) => {
  const given = { Network: "10.0.0.0/8", SubnetLen: 20, SubnetMin: "10.10.0.0", SubnetMax: "10.99.0.0" };
  t.same(ranges(parse(given)), [20, "10.10.0.0/20", "10.99.0.0/20"]);
  t.same(ranges(parse({ ...given, SubnetLen: 0, SubnetMin: "0.0.0.0", SubnetMax: null })), [
    24,
    "10.0.1.0/24",
    "10.255.255.0/24",
  ]);
  const v6 = { ...V6, IPv6Network: "fd00::/48", IPv6SubnetLen: 80, IPv6SubnetMin: "fd00:0:0:9::", IPv6SubnetMax: "::" };
  t.same(ranges(parse(v6)).slice(3), [80, "fd00:0:0:9::/80", "fd00:0:0:ffff:ffff::/80"]);
});

t.test("keys are found in any case, and the last spelling counts", async (t) => {
  const config = parseNetworkConfig(
    '{"network": "10.1.0.0/16", "NETWORK": "10.2.0.0/16", "subnetLEN": 26, "backend": {"TYPE": "UDP", "port": 9000}}',
    "net.json",
  );
  t.equal(formatPrefix(config.network), "10.2.0.0/16");
  t.equal(config.subnetLen, 26);
  t.same(config.backend, { type: "udp", options: { port: 9000 } });
});

t.test("without Backend the mode is udp; a Backend without Type names none", async (t) => {
  t.same(parse({ Network: "10.0.0.0/16" }).backend, { type: "udp", options: {} });
  t.same(parse({ Network: "10.0.0.0/16", Backend: { VNI: 7 } }).backend, { type: "", options: { VNI: 7 } });
});

t.test("ignores what flannel ignores", async (t) => {
  const extra = { EnableNFTables: true, Comment: "mine", IPv6Network: "fd00::/48", SubnetLen: null, EnableIPv4: null };
  const config = parse({ Network: "10.0.0.0/16", ...extra });
  t.equal(config.networkV6, null, "IPv6Network alone does not enable IPv6");
  t.equal(config.subnetLen, 24);
});

t.test("every fault is BAD_CONFIG and names source, key, value and cure", async (t) => {
  const faults: [unknown, string[]][] = [
    [{}, ["Network: missing", "add"]],
    [{ Network: "10.0.0.1/16" }, ['"10.0.0.1/16"', "host bits", 'write "10.0.0.0/16"']],
    [{ Network: "10.0.0.0/29" }, ['"10.0.0.0/29"', "too small", "/28"]],
    [{ Network: "0.0.0.0/0" }, ["whole internet"]],
    [{ Network: "fd00::/48" }, ["not an IPv4 network"]],
    [{ Network: 10 }, ["Network 10", "not an IPv4 network"]],
    [{ Network: "10.0.0.0/16", SubnetLen: 31 }, ["SubnetLen 31", "from 18 to 30"]],
    [{ Network: "10.0.0.0/16", SubnetLen: 17 }, ["SubnetLen 17", "10.0.0.0/16 does not hold four"]],
    [{ Network: "10.0.0.0/16", SubnetLen: "24" }, ['SubnetLen "24"', "not a prefix length"]],
    [{ Network: "10.0.0.0/16", SubnetLen: 24.5 }, ["SubnetLen 24.5"]],
    [{ Network: "10.0.0.0/16", SubnetLen: -1 }, ["SubnetLen -1"]],
    [{ Network: "10.0.0.0/16", SubnetMin: "10.1.0.0" }, ['SubnetMin "10.1.0.0"', "outside", "10.0.0.0/16"]],
    [{ Network: "10.0.0.0/16", SubnetMin: "10.0.5.7" }, ["SubnetMin", "/24 boundary", 'write "10.0.5.0"']],
    [{ Network: "10.0.0.0/16", SubnetMax: "10.0.5.0/24" }, ["SubnetMax", "not an IPv4 address"]],
    [{ Network: "10.0.0.0/16", SubnetMin: "10.0.9.0", SubnetMax: "10.0.8.0" }, ["SubnetMin", "SubnetMax 10.0.8.0"]],
    [{ Network: "10.0.0.0/16", EnableIPv4: false }, ["EnableIPv4 false", "remove"]],
    [{ Network: "10.0.0.0/16", EnableIPv6: "yes" }, ['EnableIPv6 "yes"', "true or false"]],
    [V6, ["IPv6Network: missing"]],
    [{ ...V6, IPv6Network: "fd00::/125" }, ["IPv6Network", "too small"]],
    [{ ...V6, IPv6Network: "fd00::/48", IPv6SubnetLen: 127 }, ["IPv6SubnetLen 127"]],
    [{ ...V6, IPv6Network: "fd00::/48", IPv6SubnetMin: "10.0.0.0" }, ["IPv6SubnetMin", "not an IPv6 address"]],
    [{ Network: "10.0.0.0/16", Backend: "udp" }, ['Backend "udp"', "not an object"]],
    [{ Network: "10.0.0.0/16", Backend: null }, ["Backend null", "not an object"]],
    [{ Network: "10.0.0.0/16", Backend: { Type: 1 } }, ["Backend", "Type is not a string"]],
    [[], ["not a JSON object"]],
  ];
  for (const [object, parts] of faults) {
    try {
      parse(object);
      t.fail(`accepted ${JSON.stringify(object)}`);
    } catch (error) {
      if (!(error instanceof HopsackError)) throw error;
      t.equal(error.code, "BAD_CONFIG");
      for (const part of ["net.json", ...parts]) t.ok(error.message.includes(part), `${error.message} has ${part}`);
    }
  }
  t.throws(() => parseNetworkConfig('{"Network"', "net.json"), {
    code: "BAD_CONFIG",
    message: /net\.json is not valid JSON/,
  });
});
