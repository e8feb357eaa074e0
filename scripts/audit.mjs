// `npm run audit`: known vulnerabilities in the packages that a user's host gets (npm audit). A registry that answers no audits, as many
// mirrors do not, is told, and is no failure: nothing was found out then.
import { spawnSync } from "node:child_process";

const { stdout, stderr } = spawnSync("npm", ["audit", "--json", "--omit=dev"], { encoding: "utf8" });
const report = parse(stdout);
if (report?.metadata === undefined) {
  console.log(`not audited: ${report?.message ?? (stderr.trim() || "npm gave no report")}`);
} else {
  for (const { name, severity, range } of Object.values(report.vulnerabilities)) {
    console.log(`${name} ${range}: ${severity}; see: npm audit`);
  }
  const { total } = report.metadata.vulnerabilities;
  console.log(`${report.metadata.dependencies.prod} packages audited, ${total} with known vulnerabilities`);
  process.exitCode = total === 0 ? 0 : 1;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
