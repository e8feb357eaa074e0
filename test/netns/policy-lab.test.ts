// Three roles in a lab of two hosts: the same policy on both, told with addresses where a role lives on the other host.
//
//   web, app, db ══ [h1] ══ br0 ══ [h2] ══ web, app, db
import { writeFileSync } from "node:fs";
import t from "tap";
import { skipBridge } from "../support/cni.js";
import { hopsack, TOOL, UNHOOKED, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { answered, answering, expected, type TalkingPod } from "../support/policy.js";

const LABS = "/run/hopsack/labs";
const ROLES = ["web", "app", "db"];

interface LabPod extends TalkingPod {
  readonly role: string;
}

function mayTalk(from: string, to: string, talk: string): boolean {
  if (to === "app") return from === "web" && talk === "tcp/8080";
  if (to === "db") return from === "app" && ["tcp/5432", "icmp"].includes(talk);
  return true;
}

function groupOf(role: string, remote: readonly LabPod[]): object {
  return { pods: { role }, addresses: remote.filter((pod) => pod.role === role).flatMap(({ addresses }) => addresses) };
}

withDaemons(t, import.meta.url, async () => {
  for (const [attach, skip] of [
    ["routed", false],
    ["bridge", skipBridge],
  ] as const) {
    t.test(
      `${attach}: in a lab, roles talk to each other as the policy says, on one host and across hosts`,
      { skip },
      async (t) => {
        const lab = (words: string): string => run(`${UNHOOKED.join(" ")} ${process.execPath} ${TOOL} lab ${words}`);
        t.teardown(() => lab(`down --name ${attach}`));
        lab(`up --name ${attach} --hosts 2 --pods 3 --ipv6 --attach ${attach}`);
        const policy = (host: string, words: string): string => {
          const netns = { name: `hopsack-${attach}-${host}`, address: "" };
          return hopsack(netns, `policy ${words} --subnet-file ${LABS}/${attach}/${host}/subnet.env`);
        };
        const podsOf = (host: string): LabPod[] => {
          const { pods } = JSON.parse(policy(host, "show --json"));
          return pods.map((pod: { containerId: string; addresses: string[] }, index: number) => ({
            name: pod.containerId,
            addresses: pod.addresses,
            role: ROLES[index],
          }));
        };
        const [here, there] = [podsOf("h1"), podsOf("h2")];
        const pods = [...here, ...there];
        for (const pod of pods) await answering(t, pod.name);
        await until("no address is tentative", () =>
          ["h1", "h2"].every((host) => !run(`ip -n hopsack-${attach}-${host} addr`).includes("tentative")),
        );
        for (const [host, own, remote] of [
          ["h1", here, there],
          ["h2", there, here],
        ] as const) {
          for (const { name, role } of own) policy(host, `label ${name} role=${role}`);
          const set = {
            groups: { web: groupOf("web", remote), app: groupOf("app", remote) },
            policies: [
              { name: "app", pods: { role: "app" }, ingress: [{ from: ["web"], allow: ["tcp/8080"] }] },
              { name: "db", pods: { role: "db" }, ingress: [{ from: ["app"], allow: ["tcp/5432", "icmp"] }] },
            ],
          };
          writeFileSync("/run/policy.json", JSON.stringify(set));
          policy(host, "apply /run/policy.json");
        }
        const roleOf = (name: string): string => pods.find((pod) => pod.name === name)?.role ?? "";
        const allowed = expected(pods, (from, to, talk) => mayTalk(roleOf(from), roleOf(to), talk));
        t.strictSame(await answered(pods, allowed), allowed);
        lab(`down --name ${attach}`);
        t.notMatch(run("ip netns"), `hopsack-${attach}`);
      },
    );
  }
});
