// store/lease-folder: which files are read again. In /dev/shm, a tmpfs on every Linux: what counts as this machine's own is decided
// by the kind of file system.
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { leaseKey } from "../../../src/lease/lease.js";
import { formatLeaseFile } from "../../../src/lease/lease-json.js";
import { LeaseFolder } from "../../../src/store/lease-folder.js";
import { reservation } from "../../contract/lease-store.js";
import { until } from "../../support/netns.js";

const fileName = (number: number): string => `${leaseKey(reservation(number))}.json`;

/** Whether a change now has another time than the folder's last one. */
function hasTicked(path: string): boolean {
  const beside = mkdtempSync("/dev/shm/hopsack-test-");
  const { ctimeNs } = statSync(beside, { bigint: true });
  rmSync(beside, { recursive: true });
  return ctimeNs > statSync(path, { bigint: true }).ctimeNs;
}

/** A folder with the leases of hosts 1 and 2, all heard of. */
async function folderOfTwo(t: Test) {
  const path = mkdtempSync("/dev/shm/hopsack-test-");
  t.teardown(() => rmSync(path, { recursive: true }));
  const folder = new LeaseFolder(path);
  for (const number of [1, 2]) await folder.put(reservation(number));
  await folder.list();
  await folder.refresh(new Set(), true);
  await until("the kernel's clock has gone on", () => hasTicked(path)); // a change within one tick would look like none
  const nodes = async (changed: ReadonlySet<string> | null): Promise<(string | null)[]> =>
    (await folder.refresh(changed ?? new Set(), changed !== null)).leases.map(({ attrs }) => attrs.node);
  /** In place: no file comes or goes. */
  const rename = (number: number, node: string): void =>
    writeFileSync(join(path, fileName(number)), formatLeaseFile(reservation(number, node)));
  return { path, folder, nodes, rename };
}

t.test("only the files that were heard of are read again", async (t) => {
  const { nodes, rename } = await folderOfTwo(t);
  rename(1, "new1");
  rename(2, "new2");
  t.strictSame(await nodes(new Set([fileName(2)])), ["h1", "new2"]);
  t.strictSame(await nodes(new Set([fileName(1), fileName(7), "no lease.txt"])), ["new1", "new2"]);
});

t.test(
  "a look for what nobody heard of reads nothing while no file came or went, and everything when one did",
  async (t) => {
    const { folder, nodes, rename } = await folderOfTwo(t);
    rename(1, "new1");
    t.strictSame(await nodes(null), ["h1", "h2"]);
    rename(2, "new2");
    const { leases } = await folder.refresh(new Set([fileName(2)]), false);
    t.strictSame(
      leases.map(({ attrs }) => attrs.node),
      ["h1", "new2"],
      "but what was heard of is read",
    );
    await folder.put(reservation(3));
    t.strictSame(await nodes(null), ["new1", "new2", "h3"]);
    await folder.remove(reservation(2));
    t.strictSame(await nodes(null), ["new1", "h3"]);
  },
);

t.test("a file that is no lease is named until it goes", async (t) => {
  const { folder, path } = await folderOfTwo(t);
  const name = "notes.json";
  writeFileSync(join(path, name), "");
  t.match((await folder.refresh(new Set([name]), true)).faults, [/notes\.json is not named after a subnet/]);
  rmSync(join(path, name));
  t.strictSame((await folder.refresh(new Set([name]), true)).faults, []);
  t.strictSame((await folder.list()).faults, []);
});

t.test("a listing reads everything, whatever was heard", async (t) => {
  const { folder, rename } = await folderOfTwo(t);
  rename(1, "new1");
  t.match((await folder.list()).leases, [{ attrs: { node: "new1" } }, { attrs: { node: "h2" } }]);
});

t.test("after more changes at once than inotify is sure to tell of, the next look reads everything", async (t) => {
  const { folder, nodes, rename } = await folderOfTwo(t);
  await nodes(new Set(Array.from({ length: 3000 }, (_, index) => `10.0.${index}.0-24.json`)));
  rename(1, "new1");
  t.strictSame(await nodes(null), ["new1", "h2"]);
  t.equal((await folder.list()).leases.length, 2);
});
