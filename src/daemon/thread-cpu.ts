// Processor time of the packet threads, from /proc/self/task (proc(5)): process.cpuUsage() knows the sum of all threads only.
import { readdirSync, readFileSync } from "node:fs";

const TASKS = "/proc/self/task";
/** Names that native/pump/pump.cc gives to its threads. */
const PREFIX = "hopsack-";

interface ThreadCpu {
  /** `out`, `in` or `naive`. */
  readonly thread: string;
  readonly seconds: number;
}

/** Empty when no pump runs. */
export function packetThreadCpu(): ThreadCpu[] {
  return readdirSync(TASKS).flatMap((task) => {
    try {
      const name = readFileSync(`${TASKS}/${task}/comm`, "utf8").trim();
      if (!name.startsWith(PREFIX)) return [];
      const nanoseconds = Number(readFileSync(`${TASKS}/${task}/schedstat`, "utf8").split(" ")[0]);
      return [{ thread: name.slice(PREFIX.length), seconds: nanoseconds / 1e9 }];
    } catch {
      return []; // it ended meanwhile
    }
  });
}
