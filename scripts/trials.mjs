// `npm run trials`: makes TRIALS.md of what the tests wrote below build/trials while they ran (test/support/trials.ts). Pages of files
// that did not run this time stay as they are in TRIALS.md.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "build/trials";
const PAGE = "TRIALS.md";
const INTRODUCTION = `# What was tried

Every bad input and every fault that a test tries, and what happened. The tests write their rows while they run, after what a row says has been asserted;
\`npm run trials\` makes this page of them. What the modes protect and what they do not: [SECURITY.md](SECURITY.md).
`;

/** Section of a source file → its text. */
const sections = new Map();
if (existsSync(PAGE)) {
  for (const text of readFileSync(PAGE, "utf8")
    .split(/^(?=## )/m)
    .slice(1)) {
    sections.set(/^\[(.+?)\]/m.exec(text)?.[1], text.trim());
  }
}
for (const name of existsSync(FOLDER) ? readdirSync(FOLDER) : []) {
  const { title, source, rows } = JSON.parse(readFileSync(join(FOLDER, name), "utf8"));
  const lines = rows.map(({ tried, happened }) => `| ${tried} | ${happened} |`);
  const path = source.endsWith(".cc") ? `native/test/${source}` : `test/netns/${source}`;
  sections.set(
    source,
    [`## ${title}`, "", `[${source}](${path})`, "", "| tried | what happened |", "| --- | --- |", ...lines].join("\n"),
  );
}
const ordered = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
writeFileSync(PAGE, `${[INTRODUCTION.trim(), ...ordered].join("\n\n")}\n`);
