// lease/subnet-env: flannel's exact bytes, written at once, and read back without ever failing.
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { formatSubnetEnv, parseSubnetEnv, readSubnetEnv, writeSubnetEnv } from "../../../src/lease/subnet-env.js";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.js";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`bad prefix in a test: ${text}`);
  return parsed;
}

const V4 = {
  network: prefix("10.55.0.0/16"),
  networkV6: null,
  subnet: prefix("10.55.30.0/24"),
  subnetV6: null,
  mtuBytes: 1472,
  ipMasq: false,
};
const DUAL = { ...V4, networkV6: prefix("fc00::/48"), subnetV6: prefix("fc00:0:0:1::/64"), ipMasq: true };

t.test("has flannel's bytes for IPv4 and for dual stack", async (t) => {
  t.equal(
    formatSubnetEnv(V4),
    "FLANNEL_NETWORK=10.55.0.0/16\nFLANNEL_SUBNET=10.55.30.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n",
  );
  t.equal(
    formatSubnetEnv(DUAL),
    "FLANNEL_NETWORK=10.55.0.0/16\nFLANNEL_SUBNET=10.55.30.1/24\nFLANNEL_IPV6_NETWORK=fc00::/48\n" +
      "FLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n",
  );
});

t.test("is written with its folder, in modes 0755 and 0644, and leaves no temp file", async (t) => {
  const folder = join(t.testdir(), "run", "flannel");
  const path = join(folder, "subnet.env");
  const umask = process.umask(0o077);
  t.teardown(() => process.umask(umask));
  await writeSubnetEnv(path, V4);
  process.umask(umask);
  await writeSubnetEnv(path, DUAL);
  t.equal(await readFile(path, "utf8"), formatSubnetEnv(DUAL));
  t.equal((await stat(path)).mode & 0o777, 0o644);
  t.same(await readdir(folder), ["subnet.env"]);
});

t.test("gives a new folder mode 0755", async (t) => {
  const folder = join(t.testdir(), "flannel");
  await writeSubnetEnv(join(folder, "subnet.env"), V4);
  t.equal((await stat(folder)).mode & 0o777, 0o755);
});

t.test("a path that cannot be written is FILE_UNWRITABLE with path and cure", async (t) => {
  const folder = t.testdir({ file: "" });
  const message = /file\/subnet\.env cannot be written \(.*\); .*--subnet-file/;
  await t.rejects(writeSubnetEnv(join(folder, "file", "subnet.env"), V4), { code: "FILE_UNWRITABLE", message });
  await mkdir(join(folder, "taken", "subnet.env"), { recursive: true });
  await t.rejects(writeSubnetEnv(join(folder, "taken", "subnet.env"), V4), { code: "FILE_UNWRITABLE" });
  t.same(await readdir(join(folder, "taken")), ["subnet.env"], "the temp file is removed after a failure");
});

t.test("gives back the subnets that were written", async (t) => {
  const path = join(t.testdir(), "subnet.env");
  await writeSubnetEnv(path, DUAL);
  t.same(await readSubnetEnv(path), { previous: { subnet: DUAL.subnet, subnetV6: DUAL.subnetV6 }, fault: null });
  await writeSubnetEnv(path, V4);
  t.same(await readSubnetEnv(path), { previous: { subnet: V4.subnet, subnetV6: null }, fault: null });
});

t.test("a missing file is no fault; a damaged or unreadable one is, and is never fatal", async (t) => {
  const folder = t.testdir();
  t.same(await readSubnetEnv(join(folder, "subnet.env")), { previous: null, fault: null });
  const reading = await readSubnetEnv(folder);
  t.equal(reading.previous, null);
  t.match(reading.fault, /cannot be read/);
  const damaged: [string, RegExp][] = [
    ["", /s: FLANNEL_SUBNET is missing/],
    ["FLANNEL_SUBNET=10.55.30.1\n", /FLANNEL_SUBNET=10\.55\.30\.1 is not/],
    ["FLANNEL_SUBNET=10.55.30.1/24,10.55.31.1/24\n", /is not one address/],
    ["FLANNEL_SUBNET=fc00::1/64\n", /FLANNEL_SUBNET=fc00::1\/64/],
    ["FLANNEL_SUBNET=10.55.30.1/24\nFLANNEL_IPV6_SUBNET=x\n", /FLANNEL_IPV6_SUBNET=x/],
  ];
  for (const [text, fault] of damaged) t.match(parseSubnetEnv(text, "s"), { previous: null, fault }, text);
});

t.test("a reader never sees half a file while it is replaced", async (t) => {
  const path = join(t.testdir(), "subnet.env");
  await writeFile(path, formatSubnetEnv(V4));
  await chmod(path, 0o644);
  const allowed = [formatSubnetEnv(V4), formatSubnetEnv(DUAL)];
  for (let round = 0; round < 20; round++) {
    const writing = writeSubnetEnv(path, round % 2 === 0 ? DUAL : V4);
    t.ok(allowed.includes(await readFile(path, "utf8")));
    await writing;
  }
});
