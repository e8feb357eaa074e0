// cni/result: each version's form, and the results of plugins before us.
import t from "tap";
import { addressesIn, delegatedResultJson, resultJson } from "../../../src/cni/result.js";

const RESULT = {
  interfaces: [
    { name: "hsk1", mac: "02:00:00:00:00:01", mtu: 1472 },
    { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1472, sandbox: "/run/netns/c1" },
  ],
  ips: [
    { address: "10.1.1.2/32", gateway: "169.254.1.1", interface: 1 },
    { address: "fd00::2/128", gateway: "fe80::1", interface: 1 },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
};

const WITHOUT_MTU = RESULT.interfaces.map(({ mtu, ...link }) => link);

t.test("versions before 1.0.0 say each address's family, later ones must not; only 1.1.0 knows an MTU", async (t) => {
  for (const cniVersion of ["0.3.1", "0.4.0"] as const) {
    const { ips, ...rest } = JSON.parse(resultJson(cniVersion, RESULT, null));
    t.match(rest, { cniVersion, interfaces: WITHOUT_MTU });
    t.strictSame(
      ips.map(({ version }: { version: string }) => version),
      ["4", "6"],
    );
  }
  for (const cniVersion of ["1.0.0", "1.1.0"] as const) {
    const interfaces = cniVersion === "1.1.0" ? RESULT.interfaces : WITHOUT_MTU;
    t.strictSame(JSON.parse(resultJson(cniVersion, RESULT, null)), { ...RESULT, interfaces, cniVersion, dns: {} });
  }
});

t.test("what plugins before us made stays in front, and our addresses still name our interface", async (t) => {
  const previous = { cniVersion: "1.0.0", interfaces: [{ name: "lo" }], ips: [], dns: { nameservers: ["10.0.0.1"] } };
  const joined = JSON.parse(resultJson("1.0.0", RESULT, previous));
  t.match(joined, { interfaces: [{ name: "lo" }, { name: "hsk1" }, { name: "eth0" }], dns: previous.dns });
  t.strictSame(addressesIn(joined, "eth0"), ["10.1.1.2/32", "fd00::2/128"]);
  t.strictSame(addressesIn(joined, "hsk1"), []);
});

t.test("another plugin's result gets the version that was asked of us", async (t) => {
  const theirs = JSON.stringify({ ...RESULT, interfaces: WITHOUT_MTU, cniVersion: "1.0.0" });
  const answer = (cniVersion: "1.0.0" | "1.1.0") => JSON.parse(delegatedResultJson(cniVersion, theirs, 1400, null));
  const [outer, inner] = WITHOUT_MTU;
  t.match(answer("1.1.0"), { cniVersion: "1.1.0", ips: RESULT.ips });
  t.strictSame(answer("1.1.0").interfaces, [outer, { ...inner, mtu: 1400 }], "what it was told, in the container only");
  t.strictSame(answer("1.0.0").interfaces, WITHOUT_MTU);
  t.throws(() => delegatedResultJson("1.1.0", "oops", 1400, null), { cniCode: 6, message: /"oops"/ });
});
