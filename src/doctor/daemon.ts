// Is there a daemon, and does it know of troubles itself?
import { type Check, problem, warning } from "./check.js";

export const DAEMON_CHECKS: readonly Check[] = [
  {
    id: "daemon-running",
    question: "Does hopsackd run here, and do packets flow?",
    find: ({ report, daemonFault }) => {
      if (report === null) return [problem(...problemAndCure(daemonFault ?? "no hopsackd answers"))];
      if (report.state === "ready") return [];
      return [problem(`hopsackd is ${report.state}, so no packets flow yet`, "see its log: journalctl -u hopsackd")];
    },
  },
  {
    id: "daemon-warnings",
    question: "Does hopsackd warn of anything?",
    find: ({ report }) => (report?.warnings ?? []).map((sentence) => warning(...problemAndCure(sentence))),
  },
];

/** Our sentences say at their end, behind a semicolon, what to do. */
function problemAndCure(sentence: string): [what: string, cure: string] {
  const end = sentence.lastIndexOf("; ");
  if (end < 0) return [sentence, "see what hopsack status says"];
  return [sentence.slice(0, end), sentence.slice(end + 2)];
}
