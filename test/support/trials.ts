// The rows of TRIALS.md: every bad input and every fault that a test tried, and what happened. A test writes its rows while it
// runs, below build/trials; `npm run trials` makes the page of them.
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

/** One name per row, a literal in the test's text (`tried: "…"`), so that test/tidy can tell when the page is stale. */
export interface Trial {
  readonly tried: string;
  /** Without figures that differ from one run to the next. */
  readonly happened: string;
}

const FOLDER = fileURLToPath(new URL("../../build/trials", import.meta.url));

export function trialsFolder(): string {
  mkdirSync(FOLDER, { recursive: true });
  return FOLDER;
}

export class Trials {
  readonly #rows: Trial[] = [];
  readonly #title: string;
  readonly #source: string;

  /** @param title heading of the rows of one test file */
  constructor(fileUrl: string, title: string) {
    this.#title = title;
    this.#source = basename(fileURLToPath(fileUrl));
  }

  /** To be called when all that `happened` says has been asserted. A file in which something has failed writes no more rows. */
  row(trial: Trial): void {
    if (!t.passing()) return;
    this.#rows.push(trial);
    const page = { title: this.#title, source: this.#source, rows: this.#rows };
    writeFileSync(join(trialsFolder(), `${this.#source}.json`), `${JSON.stringify(page)}\n`);
  }
}
