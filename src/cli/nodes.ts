// `hopsack node status` and `hopsack get nodes`: what calicoctl's users type. The first asks the daemon, the second the store.
import type { Command } from "commander";
import type { GivenOptions } from "../daemon/flags.js";
import type { Lease } from "../lease/lease.js";
import { formatPrefix } from "../net/prefix.js";
import { sortedLeases } from "./lease-screens.js";
import { addStoreOptions, withStore } from "./leases.js";
import { tableLines } from "./output.js";
import { nodeStatusText } from "./session-lines.js";
import { fetchReport, socketOption } from "./status.js";

interface StatusOptions {
  readonly json?: boolean;
  readonly socket: string;
}

export function addNodeCommand(program: Command): void {
  const node = program.command("node").description("show the BGP sessions of this host (mode bgp)");
  node
    .command("status")
    .description("show the BGP sessions as calicoctl does")
    .option("--json", "print them as JSON")
    .addOption(socketOption())
    .action(async ({ json, socket }: StatusOptions) => {
      const report = await fetchReport(socket);
      const text = json === true ? `${JSON.stringify(report.bgp, null, 2)}\n` : nodeStatusText(report, Date.now());
      process.stdout.write(text);
    });
}

export function addGetCommand(program: Command): void {
  const get = program.command("get").description("list what the store knows of");
  const nodes = get
    .command("nodes")
    .aliases(["node", "no"])
    .description("list the hosts, by the names in their leases")
    .option("--json", "print them as JSON, with their addresses and subnets")
    .action(({ json, ...given }: GivenOptions) =>
      withStore(given, async (store) => {
        const leases = sortedLeases(await store.list());
        process.stdout.write(json === true ? nodesJson(leases) : nodesText(leases));
      }),
    );
  addStoreOptions(nodes);
}

/** A lease may have no name: flannel's have none. */
function nameOf({ attrs }: Lease): string {
  return attrs.node ?? attrs.publicIp;
}

function nodesText(leases: readonly Lease[]): string {
  const names = [...new Set(leases.map(nameOf))].toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return `${tableLines(
    [{ title: "NAME" }],
    names.map((name) => [name]),
  ).join("\n")}\n`;
}

function nodesJson(leases: readonly Lease[]): string {
  const nodes = leases.map((lease) => ({
    name: nameOf(lease),
    publicIp: lease.attrs.publicIp,
    subnet: formatPrefix(lease.subnet),
    backendType: lease.attrs.backendType,
  }));
  return `${JSON.stringify({ nodes }, null, 2)}\n`;
}
