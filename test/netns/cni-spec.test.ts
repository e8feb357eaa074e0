// The specification's demands as a table, run against our plugin, both ways, and against Debian's bridge and ptp as oracle. Where
// they differ the table says why.
import { mkdtempSync } from "node:fs";
import t, { type Test } from "tap";
import { type CniAnswer, type CniConfig, CniHost, makePod, skipBridge } from "../support/cni.js";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { run } from "../support/netns.js";
import { Place } from "../support/place.js";

const SUBJECTS = ["routed", "bridge", "debian-bridge", "debian-ptp"] as const;
type Subject = (typeof SUBJECTS)[number];

interface Trial {
  readonly pod: string;
  call(verb: string, differences?: CniConfig, environment?: object): Promise<CniAnswer>;
}

interface Demand {
  readonly must: string;
  /** Which other plugins do not fulfil it, and why. */
  readonly unlike?: Partial<Record<Subject, string>>;
  isMet(trial: Trial): Promise<boolean>;
}

const OLD = "1.1.1 of Debian 12 speaks up to 1.0.0: no STATUS, no GC";
const added = (answer: CniAnswer): boolean => answer.status === 0 && answer.json !== null;
const silent = (answer: CniAnswer): boolean => answer.status === 0 && answer.json === null;
const failed = (code: number) => (answer: CniAnswer) => answer.status !== 0 && answer.json?.code === code;

const DEMANDS: readonly Demand[] = [
  {
    must: "ADD answers with interfaces, addresses and the version asked for",
    isMet: async ({ call }) => {
      const answer = await call("ADD");
      const { interfaces, ips, cniVersion } = answer.json ?? {};
      return added(answer) && Array.isArray(interfaces) && Array.isArray(ips) && cniVersion === "1.0.0";
    },
  },
  ...["0.3.1", "0.4.0", "1.0.0"].map((cniVersion) => ({
    must: `ADD and DEL speak ${cniVersion}`,
    isMet: async ({ call }: Trial) =>
      added(await call("ADD", { cniVersion })) && silent(await call("DEL", { cniVersion })),
  })),
  {
    must: "ADD fails when the container has an interface of that name",
    isMet: async ({ call, pod }) => {
      run(`ip -n ${pod} link add eth0 type bridge`);
      return (await call("ADD")).status !== 0;
    },
  },
  {
    must: "DEL succeeds a second time",
    isMet: async ({ call }) => added(await call("ADD")) && silent(await call("DEL")) && silent(await call("DEL")),
  },
  {
    must: "DEL succeeds for what was never added",
    isMet: async ({ call }) => silent(await call("DEL")),
  },
  {
    must: "DEL succeeds without a network namespace",
    isMet: async ({ call }) => added(await call("ADD")) && silent(await call("DEL", {}, { netns: undefined })),
  },
  {
    must: "CHECK succeeds after ADD",
    isMet: async ({ call }) => silent(await call("CHECK", { prevResult: (await call("ADD")).json })),
  },
  {
    must: "CHECK fails when the interface is gone",
    isMet: async ({ call, pod }) => {
      const prevResult = (await call("ADD")).json;
      run(`ip -n ${pod} link delete eth0`);
      return (await call("CHECK", { prevResult })).status !== 0;
    },
  },
  {
    must: "a version that is not supported is error 1",
    isMet: async ({ call }) => failed(1)(await call("ADD", { cniVersion: "9.0.0" })),
  },
  {
    must: "a missing container ID is error 4",
    isMet: async ({ call }) => failed(4)(await call("ADD", {}, { containerId: undefined })),
  },
  {
    must: "a bad container ID is error 4",
    isMet: async ({ call }) => failed(4)(await call("ADD", {}, { containerId: "a/b" })),
  },
  {
    must: "a bad interface name is error 4",
    isMet: async ({ call }) => failed(4)(await call("ADD", {}, { ifName: "a/b" })),
  },
  {
    must: "a missing network name is error 7",
    isMet: async ({ call }) => failed(7)(await call("ADD", { name: undefined })),
  },
  {
    must: "VERSION lists what is supported",
    isMet: async ({ call }) => Array.isArray((await call("VERSION")).json?.supportedVersions),
  },
  {
    must: "STATUS says whether an ADD would work",
    unlike: { "debian-bridge": OLD, "debian-ptp": OLD },
    isMet: async ({ call }) => silent(await call("STATUS", { cniVersion: "1.1.0" })),
  },
  {
    must: "GC removes what is not valid",
    unlike: { "debian-bridge": OLD, "debian-ptp": OLD },
    isMet: async ({ call }) => {
      const gone = await call("ADD");
      const collected = await call("GC", { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] });
      return added(gone) && silent(collected) && added(await call("ADD"));
    },
  },
];

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("h", "192.0.2.1");
  let pods = 0;

  async function trial(t: Test, cni: CniHost): Promise<Trial> {
    const pod = `pod${++pods}`;
    const call = { containerId: pod, ifName: "eth0", netns: makePod(pod) };
    t.teardown(async () => {
      await cni.call({ ...call, verb: "DEL" });
      run(`ip netns delete ${pod}`);
    });
    return { pod, call: (verb, differences, environment) => cni.call({ ...call, verb, ...environment }, differences) };
  }

  for (const subject of SUBJECTS) {
    const skip = subject === "routed" ? false : skipBridge;
    t.test(`${subject} does what the specification demands`, { skip }, async (t) => {
      const place = new Place(t);
      await place.startAll(t, [host]);
      const ipam = {
        type: "host-local",
        dataDir: mkdtempSync(`${place.folder}/ipam-`),
        ranges: [[{ subnet: "10.99.0.0/24" }]],
        routes: [{ dst: "10.99.0.0/16", gw: "10.99.0.1" }],
      };
      const configs: Record<Subject, CniConfig> = {
        routed: { attach: "routed" },
        bridge: { attach: "bridge" },
        "debian-bridge": { type: "bridge", bridge: "br9", isGateway: true, ipam },
        "debian-ptp": { type: "ptp", ipam },
      };
      const cni = new CniHost(place, host, { ...configs[subject], cniVersion: "1.0.0" });
      for (const { must, unlike, isMet } of DEMANDS) {
        await t.test(must, async (t) => {
          const why = unlike?.[subject];
          t.equal(await isMet(await trial(t, cni)), why === undefined, why ?? "as demanded");
        });
      }
    });
  }
});
