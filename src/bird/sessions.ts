// What BIRD says of its BGP sessions, read from `show protocols`, and what that means in words. Pure.
import type { BgpPlan, BgpSessionKind, BgpSessionPlan } from "../plan/plan.js";
import { sessionName } from "./config.js";
import type { ReplyLine } from "./control-socket.js";

const TABLE_ROW_CODE = 1002;
const ESTABLISHED = "Established";
/** A session that is only just being made, or made again, is nothing to worry about. */
const PATIENCE_MS = 10_000;

export interface BgpSession {
  readonly kind: BgpSessionKind;
  readonly address: string;
  readonly asNumber: number;
  /** BIRD's: `up`, `start`, `down`. */
  readonly state: string;
  /** Of the state; milliseconds since the epoch, null when BIRD did not say. */
  readonly since: number | null;
  /** BIRD's words: `Established`, `Active  Socket: Connection refused`. */
  readonly info: string;
  /** What is wrong and what to do about it; null: nothing, or too early to say. */
  readonly trouble: string | null;
}

/** One for each session of the plan, in its order. @param now milliseconds since the epoch */
export function sessionsIn(lines: readonly ReplyLine[], plan: BgpPlan, now: number): BgpSession[] {
  const rows = new Map(
    lines
      .filter(({ code }) => code === TABLE_ROW_CODE)
      .map(({ text }) => {
        const [name = "", , , state = "", since = "", ...info] = text.trim().split(/\s+/);
        return [name, { state, since: timeOf(since), info: info.join(" ") }] as const;
      }),
  );
  return plan.sessions.map((session) => {
    const row = rows.get(sessionName(session)) ?? { state: "down", since: null, info: "" };
    const isFresh = row.since !== null && now - row.since < PATIENCE_MS;
    const trouble = isUp(row) ? null : troubleOf(row.info, session, plan, isFresh);
    return { kind: session.kind, address: session.address, asNumber: session.asNumber, ...row, trouble };
  });
}

export function isUp({ state, info }: Pick<BgpSession, "state" | "info">): boolean {
  return state === "up" && info.startsWith(ESTABLISHED);
}

function timeOf(text: string): number | null {
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

interface Meaning {
  readonly pattern: RegExp;
  /** What BIRD says of it lasts, so it is told at once. */
  readonly isSure: boolean;
  words(session: BgpSessionPlan, plan: BgpPlan): string;
}

const MEANINGS: readonly Meaning[] = [
  {
    pattern: /Bad peer AS/,
    isSure: true,
    words: ({ asNumber }, plan) =>
      `the AS numbers disagree (this host has ${plan.asNumber}, and takes that one for ${asNumber}); ` +
      "make ASNumber of the Backend, or of the peer in Backend.Peers, what the other side has",
  },
  {
    pattern: /No listening socket/,
    isSure: true,
    words: (_session, { localAddress }) =>
      `another program of this host has TCP port 179 of ${localAddress}; stop it (ss -ltnp sport = 179 names it)`,
  },
  {
    pattern: /Connection refused/,
    isSure: false,
    words: () => "nobody there listens on TCP port 179; see whether hopsackd runs there, in mode bgp",
  },
  {
    pattern: /No route to host|unreachable/i,
    isSure: false,
    words: () => "that host cannot be reached; see whether it runs, and whether it is on the link",
  },
  {
    pattern: /^(Connect|Active|Passive|Idle|OpenSent)( |$)/,
    isSure: false,
    words: ({ isPassive, password }) => {
      const silence = isPassive ? "it does not dial this host" : "it does not answer";
      const secret = password === null ? "has no Password set" : "has the same Password";
      return `${silence}; see whether it runs in mode bgp, ${secret}, and lets TCP port 179 through`;
    },
  },
];

function troubleOf(info: string, session: BgpSessionPlan, plan: BgpPlan, isFresh: boolean): string | null {
  const meaning = MEANINGS.find(({ pattern }) => pattern.test(info));
  if (isFresh && meaning?.isSure !== true) return null;
  const words = meaning?.words(session, plan) ?? "see BIRD's log in hopsackd's runtime folder";
  return `no BGP session with ${session.address} (${info === "" ? "BIRD does not know it" : info}): ${words}`;
}
