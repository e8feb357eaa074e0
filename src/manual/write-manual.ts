// Run by `npm run build`: writes man pages and completions into dist/share, laid out as below /usr/share.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { hopsackCommand } from "../cli/program.js";
import { hopsackdCommand } from "../daemon/options.js";
import { packageVersion } from "../daemon/version.js";
import { describeCommand } from "./command-table.js";
import { bashCompletion, fishCompletion, zshCompletion } from "./completions.js";
import { manPages } from "./man-page.js";

const SHARE = fileURLToPath(new URL("../share", import.meta.url));
const MILLISECONDS = 1000;

rmSync(SHARE, { recursive: true, force: true });
const version = packageVersion();
const hopsack = describeCommand(hopsackCommand());
const hopsackd = describeCommand(hopsackdCommand(version));
// reproducible-builds.org: who builds the same source again gives the date of the first time
const epoch = process.env.SOURCE_DATE_EPOCH;
const date = epoch === undefined ? new Date() : new Date(Number(epoch) * MILLISECONDS);
for (const { name, section, text } of manPages(hopsack, hopsackd, { version, date })) {
  write(`man/man${section}/${name}.${section}`, text);
}
for (const program of [hopsack, hopsackd]) {
  write(`bash-completion/completions/${program.path}`, bashCompletion(program));
  write(`zsh/vendor-completions/_${program.path}`, zshCompletion(program));
  write(`fish/vendor_completions.d/${program.path}.fish`, fishCompletion(program));
}

function write(name: string, text: string): void {
  const path = join(SHARE, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
