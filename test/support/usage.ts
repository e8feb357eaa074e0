// What a process has used.
import { readdirSync, readFileSync } from "node:fs";

/** User and system time of a process so far, in steps of ten. */
export function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Processor time of the threads that a process has now, to the nanosecond. */
export function threadMilliseconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((tid) =>
    Number.parseInt(readFileSync(`${tasks}/${tid}/schedstat`, "utf8"), 10),
  );
  return nanoseconds.reduce((sum, some) => sum + some, 0) / 1e6;
}

export function residentMegabytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
