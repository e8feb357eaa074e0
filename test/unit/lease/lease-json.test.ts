// lease/lease-json: flannel's bytes out, flannel's and people's JSON in, and nothing but BAD_LEASE on the way.
import fc from "fast-check";
import t from "tap";
import type { LeaseAttrs, TimedLease } from "../../../src/lease/lease.js";
import { formatLeaseAttrs, formatLeaseFile, parseLeaseAttrs, parseLeaseFile } from "../../../src/lease/lease-json.js";

const UDP: LeaseAttrs = {
  publicIp: "10.99.0.1",
  publicIpv6: null,
  backendType: "udp",
  backendData: null,
  backendV6Data: null,
  node: "h1",
};
const SUBNET = { subnet: { family: 4, base: 0x0af40100n, length: 24 }, subnetV6: null } as const;

t.test("writes what flannel writes for each backend", async (t) => {
  t.equal(formatLeaseAttrs(UDP), '{"PublicIP":"10.99.0.1","PublicIPv6":null}');
  t.equal(
    formatLeaseAttrs({ ...UDP, backendType: "vxlan", backendData: { VNI: 1, VtepMAC: "26:8e:4e:aa:08:d3" } }),
    '{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"26:8e:4e:aa:08:d3"}}',
  );
  t.equal(
    formatLeaseAttrs({ ...UDP, backendType: "host-gw" }),
    '{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw"}',
  );
});

t.test("reads flannel's leases, keys in any case; no BackendType means udp", async (t) => {
  t.same(parseLeaseAttrs('{"PublicIP":"10.99.0.1","PublicIPv6":null}', "k"), { ...UDP, node: null });
  const other = parseLeaseAttrs(
    '{"publicip":"10.99.0.2","PublicIPv6":"FD00::0:1","backendtype":"VXLAN","BackendData":"x"}',
    "k",
  );
  t.same(other, {
    ...UDP,
    publicIp: "10.99.0.2",
    publicIpv6: "fd00::1",
    backendType: "vxlan",
    backendData: "x",
    node: null,
  });
});

t.test("a lease file adds node and expiry; a reservation has no expiry", async (t) => {
  const lease: TimedLease = { ...SUBNET, attrs: UDP, expiresAt: Date.UTC(2030, 0, 31, 12) };
  const text = formatLeaseFile(lease);
  t.same(JSON.parse(text), {
    PublicIP: "10.99.0.1",
    PublicIPv6: null,
    Node: "h1",
    Expiration: "2030-01-31T12:00:00.000Z",
  });
  t.ok(text.endsWith("}\n"));
  t.same(parseLeaseFile(text, "f", SUBNET), lease);
  t.equal(parseLeaseFile('{"PublicIP": "10.99.0.1"}', "f", SUBNET).expiresAt, null);
});

t.test("every damaged value is BAD_LEASE and names file, key, value and cure", async (t) => {
  const faults: [string, RegExp][] = [
    ["", /f\.json is not valid JSON .*repair or remove/],
    ['{"PublicIP": "10.99.0.1"', /f\.json is not valid JSON/],
    ["[]", /not a JSON object/],
    ["{}", /f\.json: PublicIP is missing; repair or remove/],
    ['{"PublicIP": "010.0.0.1"}', /PublicIP "010\.0\.0\.1" is not an IPv4 address/],
    ['{"PublicIP": "10.0.0.1", "PublicIPv6": "x"}', /PublicIPv6 "x" is not an IPv6 address/],
    ['{"PublicIP": "10.0.0.1", "BackendType": 7}', /BackendType 7 is not a string/],
    ['{"PublicIP": "10.0.0.1", "Node": {}}', /Node \{\} is not a string/],
    ['{"PublicIP": "10.0.0.1", "Expiration": "tomorrow"}', /Expiration "tomorrow" is not a time/],
    ['{"PublicIP": "10.0.0.1", "Expiration": "2030-99-01T00:00:00Z"}', /Expiration/],
    ['{"PublicIP": "10.0.0.1", "Expiration": 0}', /Expiration 0 is not a time/],
  ];
  for (const [text, message] of faults) {
    t.throws(() => parseLeaseFile(text, "f.json", SUBNET), { code: "BAD_LEASE", message }, text);
  }
});

t.test("leases read back as they were written", async (t) => {
  const attrs = fc.record({
    publicIp: fc.ipV4(),
    publicIpv6: fc.constantFrom(null, "fd00::1", "2001:db8::5"),
    backendType: fc.constantFrom("udp", "vxlan", "host-gw"),
    backendData: fc.oneof(fc.constant(null), fc.jsonValue()),
    backendV6Data: fc.oneof(fc.constant(null), fc.jsonValue()),
    node: fc.oneof(fc.constant(null), fc.string({ minLength: 1 })),
  });
  const expiresAt = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: Date.UTC(9999, 0) }));
  fc.assert(
    fc.property(attrs, expiresAt, (attrs, expiresAt) => {
      const lease: TimedLease = { ...SUBNET, attrs, expiresAt };
      const text = formatLeaseFile(lease);
      return formatLeaseFile(parseLeaseFile(text, "f", SUBNET)) === text;
    }),
  );
  t.pass();
});
