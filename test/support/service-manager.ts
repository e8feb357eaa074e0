// A stand-in for systemd, in the test's own process: hears what daemons say by sd_notify, keeps the descriptors they store, and
// gives them to the next one. What real systemd does beyond that is not played.
import { closeSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { loadAddon, type NativeNotifySocket } from "../../src/addon.js";
import { storedName } from "../../src/daemon/service.js";
import { Daemon, type Host } from "./hopsackd.js";
import { until } from "./netns.js";
import type { Place } from "./place.js";

const LOOK_INTERVAL_MS = 2;
/** A daemon starts from nothing in it. */
const HEARD_LIMIT_MS = 40_000;

export class ServiceManagerStandIn {
  /** What daemons said, but for the descriptor store. */
  readonly heard: string[] = [];
  readonly kept = new Map<string, number>();
  readonly #socket: NativeNotifySocket;
  readonly #path: string;

  constructor(t: Test, place: Place) {
    this.#path = join(place.folder, "notify");
    this.#socket = new (loadAddon().NotifySocket)(this.#path);
    const timer = setInterval(() => this.#listen(), LOOK_INTERVAL_MS);
    t.teardown(() => {
      clearInterval(timer);
      this.#socket.close();
      for (const fd of this.kept.values()) closeSync(fd);
    });
  }

  /** Starts a daemon with everything that is kept. */
  start(t: Test, host: Host, flags: readonly string[]): Daemon {
    const names = [...this.kept.keys()];
    const variables = [`LISTEN_FDS=${names.length}`, `LISTEN_FDNAMES=${names.join(":")}`, "WATCHDOG_USEC=1000000"];
    const own = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"];
    const wrapper = ["env", `NOTIFY_SOCKET=${this.#path}`, ...variables, ...own];
    const daemon = new Daemon(host, flags, wrapper, [...this.kept.values()]);
    t.teardown(() => daemon.stop());
    return daemon;
  }

  async hears(what: string, times = 1): Promise<void> {
    await until(
      `${times} times ${what}`,
      () => this.heard.filter((text) => text === what).length >= times,
      HEARD_LIMIT_MS,
    );
  }

  #listen(): void {
    for (let said = this.#socket.receive(); said !== null; said = this.#socket.receive()) {
      const stored = storedName(said.text);
      const [fd] = said.fds;
      if (stored !== null && fd !== undefined) this.kept.set(stored, fd);
      else if (said.text.startsWith("FDSTOREREMOVE=1\n")) this.#forget(said.text);
      else this.heard.push(said.text.replace(/USEC=\d+/, "USEC=…"));
    }
  }

  #forget(text: string): void {
    const name = /^FDNAME=(.*)$/m.exec(text)?.[1] ?? "";
    const fd = this.kept.get(name);
    if (fd !== undefined) closeSync(fd);
    this.kept.delete(name);
  }
}
