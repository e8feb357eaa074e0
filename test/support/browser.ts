// Chromium without a window, for pages as readers see them.
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { Test } from "tap";

const CHROMIUM = "/usr/bin/chromium";
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Why there is no browser, or false. */
export const browserFault = existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing: apt-get install chromium`;

export async function openBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
  t.teardown(() => browser.close());
  return browser;
}

/** An expression: WCAG's contrast of the first element of each selector with what .card stands on. */
export function contrastOf(selectors: readonly string[]): string {
  return `(() => {
    const light = (colour) => {
      const parts = colour.match(/[0-9]+/g).slice(0, 3).map((part) => {
        const share = Number(part) / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const ground = light(getComputedStyle(document.querySelector(".card")).backgroundColor);
    return ${JSON.stringify(selectors)}.map((which) => {
      const style = getComputedStyle(document.querySelector(which));
      const text = light(which.endsWith(" text") ? style.fill : style.color);
      return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    });
  })()`;
}
