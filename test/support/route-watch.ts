// What the kernel of a host says of its routes while a test goes on: each line of `ip monitor route`, with its time.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import type { Host } from "./hopsackd.js";
import { ip } from "./hopsackd.js";
import { until } from "./netns.js";

interface RouteEvent {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** `Deleted 10.244.2.0/24 via …`, or the route as it is now. */
  readonly text: string;
}

/** Outside of every test's Network. */
const MARKER = "198.51.100.0/24";

export class RouteWatch {
  readonly events: RouteEvent[] = [];
  readonly #child: ChildProcess;
  #isHearing = false;

  private constructor(host: Host) {
    this.#child = spawn("ip", ["-n", host.name, "-ts", "monitor", "route"], { stdio: ["ignore", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no output of ip monitor");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const [, time = "", text = ""] = /^\[([^\]]+)\] *(.*)$/.exec(line) ?? [];
      if (text.includes(MARKER)) this.#isHearing = true;
      else if (text !== "") this.events.push({ at: Date.parse(time), text: text.trim() });
    });
  }

  /** Resolves when it hears what happens. */
  static async open(t: Test, host: Host): Promise<RouteWatch> {
    const watch = new RouteWatch(host);
    t.teardown(() => watch.#child.kill());
    await until("ip monitor listens", () => {
      ip(host, `route add blackhole ${MARKER}`);
      ip(host, `route del blackhole ${MARKER}`);
      return watch.#isHearing;
    });
    return watch;
  }

  /** Routes that went, so far. */
  deletions(): string[] {
    return this.events.map(({ text }) => text).filter((text) => text.startsWith("Deleted"));
  }

  /** When the first event of this text was. */
  async heard(text: string, limitMs?: number): Promise<number> {
    const find = () => this.events.find((event) => event.text.startsWith(text));
    await until(`the kernel says: ${text}`, () => find() !== undefined, limitMs);
    return find()?.at ?? 0;
  }
}
