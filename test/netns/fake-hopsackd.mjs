// Stands in for hopsackd in the lab's own tests: takes 10.244.N.0/24 on host hN, writes subnet.env, answers /readyz, and
// routes to the other hosts directly, as host-gw would. FAKE_FAULT in --daemon-arg: `die`, `no-routes`, `tiny` (no room for a pod on h2), `deaf` (no SIGTERM).
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";

const argv = process.argv.slice(2);
const value = (flag) => argv[argv.indexOf(flag) + 1];
const fault = argv.includes("--fault") ? value("--fault") : "none";
const number = Number(value("--node-name").slice(1));
if (fault === "die" && number === 2) {
  console.log("the roof is on fire");
  process.exit(1);
}
for (let peer = 1; peer <= 8; peer++) {
  if (peer === number || (fault === "no-routes" && peer === 2)) continue;
  execFileSync("ip", ["route", "add", `10.244.${peer}.0/24`, "via", `192.168.50.${9 + peer}`]);
}
const lines = [
  "FLANNEL_NETWORK=10.244.0.0/16",
  `FLANNEL_SUBNET=10.244.${number}.1/${fault === "tiny" && number === 2 ? 31 : 24}`,
  "FLANNEL_MTU=1472",
  "FLANNEL_IPMASQ=false",
];
writeFileSync(value("--subnet-file"), `${lines.join("\n")}\n`);
createServer((_, response) => response.end("ready")).listen(value("--status-socket"));
console.log(`fake hopsackd of ${value("--node-name")} is ready`);
process.on("SIGTERM", () => fault === "deaf" || process.exit(0));
