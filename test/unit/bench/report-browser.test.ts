// The report as readers open it: from disk, in Chromium, light and dark, on a desk and on a telephone.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import t from "tap";
import { writeReport } from "../../../src/bench/report.js";
import { syntheticResults } from "../../support/bench-results.js";
import { browserFault, contrastOf, openBrowser } from "../../support/browser.js";

const LONGEST_NAME = "vxlan-userspace";

async function openReport(browser: Browser, page: string, width: number, colorScheme: "light" | "dark"): Promise<Page> {
  const tab = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
  tab.on("request", (request) => {
    if (!request.url().startsWith("file:")) t.fail(`the page asked for ${request.url()}`);
  });
  tab.on("pageerror", (error) => void t.fail(`the page failed: ${error.message}`));
  await tab.goto(pathToFileURL(page).href);
  await tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
  return tab;
}

/** Pairs of texts within one chart that cover each other, and texts that stand outside their chart. */
const TROUBLED_TEXTS = `[...document.querySelectorAll("svg")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim() !== "");
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const outside = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
  const covered = boxes.flatMap(([name, box], index) => boxes.slice(index + 1)
    .filter(([, other]) => Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1
      && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 4)
    .map(([other]) => name + " and " + other));
  return [...covered, ...outside.map(([name]) => name + " outside")];
})`;

const CONTRAST = contrastOf(["h3", "figcaption", ".pass", ".short", "svg text"]);

t.test("the report in Chromium", { skip: browserFault }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-browser-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const refusals = [{ profile: "offload", scenario: "tcp-1", mode: "udp-naive", round: null, reason: "no road" }];
  const { page, charts } = await writeReport(syntheticResults({ rounds: 7, refusals }), folder);
  const browser = await openBrowser(t);

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [360, 1200]) {
      t.test(`${colorScheme}, ${width} pixels wide: readable, and nothing sticks out`, async (t) => {
        const tab = await openReport(browser, page, width, colorScheme);
        t.equal(await tab.evaluate("document.documentElement.scrollWidth"), width);
        t.equal(await tab.locator("svg").count(), charts);
        t.same(await tab.evaluate(TROUBLED_TEXTS), []);
        for (const contrast of (await tab.evaluate(CONTRAST)) as number[]) t.ok(contrast >= 4.5, `${contrast}`);
        t.ok(await tab.getByText("1 figure refused").isVisible());
        t.ok(await tab.locator("svg text").getByText(LONGEST_NAME).first().isVisible());
        await tab.close();
      });
    }
  }
});
