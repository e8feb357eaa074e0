// store/registry: specs of --store.
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import t from "tap";
import { openStore } from "../../../src/store/registry.js";

const OPTIONS = { etcd: null, leaseTtlSeconds: 60, netConfigPath: null };

t.test("opens a folder or a list by its spec, relative paths made absolute", async (t) => {
  const folder = t.testdir();
  t.equal((await openStore(`file:${folder}`, OPTIONS)).description, `file:${folder}`);
  const path = join(folder, "lab:1.json");
  await writeFile(path, '{"Network": "10.0.0.0/16", "Hosts": []}');
  const store = await openStore(`static:${relative(process.cwd(), path)}`, OPTIONS);
  t.equal(store.description, `static:${path}`);
  t.same(await store.list(), []);
});

t.test("hands warnings on", async (t) => {
  const folder = t.testdir({ subnets: { "x.json": "" } });
  const warnings: string[] = [];
  const store = await openStore(`file:${folder}`, { ...OPTIONS, onWarning: (message) => warnings.push(message) });
  await store.list();
  t.match(warnings, [/x\.json/]);
});

t.test("refuses other specs with the ones there are", async (t) => {
  for (const spec of ["", "file", "file:", "static:", "etcd", "etcd:x", "/var/lib/hopsack", ":x", "memory:"]) {
    const message = `--store ${JSON.stringify(spec)} names no store; use file:DIR, static:FILE or etcd`;
    await t.rejects(openStore(spec, OPTIONS), { code: "BAD_OPTION", message });
  }
});
