// Kernel, network card and clock: what is broken below everybody.
import { type Check, type Finding, NotChecked, warning } from "./check.js";
import type { Facts } from "./facts.js";

/** Of all UDP or TCP that arrived; a card or a virtual switch that breaks checksums breaks most of them. */
const BAD_CHECKSUMS_SHARE = 0.001;
const BAD_CHECKSUMS_LEAST = 10;
const SKEW_LIMIT_SECONDS = 5;

type Version = readonly [major: number, minor: number, patch: number];
/** Headers of equal-length runs are mangled there (fixed by kernel commit 78effd8). */
const UDP_GSO_BUG: readonly [first: Version, last: Version] = [
  [7, 0, 0],
  [7, 1, 4],
];

export const MACHINE_CHECKS: readonly Check[] = [
  { id: "checksums", question: "Do packets arrive with good checksums?", find: badChecksums },
  {
    id: "udp-gso-bug",
    question: "Is the kernel free of the known UDP segmentation bug?",
    find: ({ kernelRelease }) => {
      const version = versionOf(kernelRelease);
      if (isLower(version, UDP_GSO_BUG[0]) || isLower(UDP_GSO_BUG[1], version)) return [];
      const what = `Linux ${kernelRelease} mangles UDP packets that are sent several at once (UDP_SEGMENT); hopsackd does without, other programs may not`;
      return [warning(what, "install Linux 7.1.5 or later")];
    },
  },
  { id: "clock-skew", question: "Does this host's clock agree with the store's?", find: clockSkew },
];

function badChecksums(facts: Facts): Finding[] {
  const counters = facts.readText("/proc/net/snmp");
  if (counters === null) throw new NotChecked("there is no /proc/net/snmp");
  const all = [
    { protocol: "UDP", ...counts(counters, "Udp", "InDatagrams") },
    { protocol: "TCP", ...counts(counters, "Tcp", "InSegs") },
  ];
  return all
    .filter(({ bad, arrived }) => bad >= BAD_CHECKSUMS_LEAST && bad > BAD_CHECKSUMS_SHARE * arrived)
    .map(({ protocol, bad, arrived }) => {
      const device = facts.report?.device?.name ?? facts.report?.underlay?.link ?? "eth0";
      const what = `${bad} ${protocol} packets arrived with a wrong checksum, and ${arrived} with a right one: checksum offload of a card or virtual switch is broken`;
      return warning(what, `try without it, here and on the sending host: ethtool -K ${device} tx off rx off`);
    });
}

/** Two lines of a protocol: names, then values. */
function counts(text: string, protocol: string, arrivals: string): { readonly bad: number; readonly arrived: number } {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(" "));
  const value = (name: string): number => Number(values[names.indexOf(name)] ?? 0);
  return { bad: value("InCsumErrors"), arrived: value(arrivals) };
}

function versionOf(release: string): Version {
  const [, major, minor, patch] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0), Number(patch ?? 0)];
}

function isLower(a: Version, b: Version): boolean {
  const index = a.findIndex((part, i) => part !== b[i]);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}

/** A lease of a file store ends at a time of day; in etcd it is the cluster that counts, and certificates that have times. */
async function clockSkew(facts: Facts): Promise<Finding[]> {
  const spec = facts.report?.store.spec ?? "";
  const ahead = await storeClockAhead(facts, spec);
  if (Math.abs(ahead) <= SKEW_LIMIT_SECONDS) return [];
  const what = `the clock of ${spec} is ${Math.round(Math.abs(ahead))} seconds ${ahead > 0 ? "ahead of" : "behind"} this host's`;
  return [
    warning(what, "set both by NTP: timedatectl set-ntp true, and see chronyc tracking or timedatectl timesync-status"),
  ];
}

/** A file can only show a clock that is ahead of ours: an old one may be old. */
async function storeClockAhead(facts: Facts, spec: string): Promise<number> {
  const endpoint = /https?:\/\/[^\s,/]+/.exec(spec)?.[0];
  if (endpoint !== undefined) return facts.clockAhead(`${endpoint}/version`);
  if (!spec.startsWith("file:")) return 0;
  const writtenAt = facts.youngestFileAt(`${spec.slice("file:".length)}/subnets`);
  return writtenAt === null ? 0 : Math.max(0, (writtenAt - facts.now) / 1000);
}
