// Takes every sample that was asked for: profile by profile, the labs of one up at a time. Says what happens by events; whoever
// calls decides how they look. A figure whose traffic took another road is refused, and so is one whose tool failed.
import { HopsackError, messageOf } from "../errors.js";
import { requireTools } from "../lab/command.js";
import { openAccounts } from "./accounts.js";
import { Fleet, type Place, type Site } from "./fleet.js";
import { type Choice, Pace, type Stop, stopsOf } from "./itinerary.js";
import { describeMachine } from "./machine.js";
import type { Mode } from "./modes.js";
import type { Reading } from "./probes/probe.js";
import { measure, obstacleTo, toolsOf } from "./probes/registry.js";
import type { Profile } from "./profiles.js";
import { bytesByEbpf, pumpWork, readReports } from "./pump-work.js";
import { type BenchResults, type ProfileInfo, RESULTS_SCHEMA, type Refusal, type Sample } from "./results.js";
import { enterRoad, leaveRoad } from "./road.js";
import { SCENARIOS } from "./scenarios.js";

/** Before the first sample of a mode: routes and neighbours are found, and hopsackd's code is compiled. */
const WARM_UP_SECONDS = 1;
const WARM_UP = SCENARIOS.find(({ name }) => name === "tcp-1");

export type BenchEvent =
  | { readonly kind: "step"; readonly text: string }
  | { readonly kind: "sample"; readonly sample: Sample; readonly secondsLeft: number }
  | { readonly kind: "refusal"; readonly refusal: Refusal };

type Report = (event: BenchEvent) => void;

/** Makes what the modes of a profile are measured on. */
export type OpenSite = (
  profile: Profile,
  modes: readonly Mode[],
  signal: AbortSignal,
  progress: (step: string) => void,
) => Promise<Site>;

/** What has been measured so far; grows while the run goes on. */
interface Ledger {
  readonly profiles: ProfileInfo[];
  readonly samples: Sample[];
  readonly refusals: Refusal[];
}

/**
 * Measures everything. An abort ends it early with what there is: `isComplete` is false then, and no lab is left.
 * @throws TOOL_MISSING, NOT_PERMITTED, ALREADY_RUNNING, and what labUp() throws
 */
export async function runBenchmark(
  choice: Choice,
  signal: AbortSignal,
  report: Report,
  openSite: OpenSite = Fleet.up,
): Promise<{ readonly results: BenchResults; readonly isComplete: boolean }> {
  const tools = new Set(choice.scenarios.flatMap(({ probe }) => toolsOf(probe)));
  requireTools(["ip", "ethtool", ...tools]);
  const startedAt = new Date().toISOString();
  const machine = await describeMachine([...tools].sort());
  const ledger: Ledger = { profiles: [], samples: [], refusals: [] };
  const isComplete = await measureAll(choice, ledger, signal, report, openSite);
  const { rounds, seconds, isQuick, modes, scenarios } = choice;
  const results: BenchResults = {
    schema: RESULTS_SCHEMA,
    startedAt,
    finishedAt: new Date().toISOString(),
    machine,
    settings: { rounds, seconds, isQuick },
    ...ledger,
    modes: modes.map(({ name, title, engine }) => ({ name, title, engine })),
    scenarios: scenarios.map(({ name, title, metrics, point }) => ({ name, title, metrics, point })),
  };
  return { results, isComplete };
}

/** False when the signal ended it. */
async function measureAll(
  choice: Choice,
  ledger: Ledger,
  signal: AbortSignal,
  report: Report,
  openSite: OpenSite,
): Promise<boolean> {
  const legs = choice.profiles.map((profile) => ({ profile, stops: stopsOf(choice, profile) }));
  const pace = new Pace(legs.reduce((sum, { stops }) => sum + stops.length, 0));
  try {
    for (const { profile, stops } of legs) {
      await new ProfileRun(profile, choice, ledger, pace, report).run(stops, openSite, signal);
    }
    return true;
  } catch (error) {
    if (!signal.aborted) throw error;
    return false;
  }
}

class ProfileRun {
  readonly #profile: Profile;
  readonly #choice: Choice;
  readonly #ledger: Ledger;
  readonly #pace: Pace;
  readonly #report: Report;

  constructor(profile: Profile, choice: Choice, ledger: Ledger, pace: Pace, report: Report) {
    this.#profile = profile;
    this.#choice = choice;
    this.#ledger = ledger;
    this.#pace = pace;
    this.#report = report;
  }

  async run(stops: readonly Stop[], openSite: OpenSite, signal: AbortSignal): Promise<void> {
    const { modes } = this.#choice;
    const { name, title, mtuBytes } = this.#profile;
    const step = (text: string): void => this.#report({ kind: "step", text: `${name}: ${text}` });
    const site = await openSite(this.#profile, modes, signal, step);
    try {
      this.#ledger.profiles.push({ name, title, mtuBytes, offloads: await site.offloads() });
      step("warming up");
      for (const mode of modes) await this.#warmUp(site.placeOf(mode), signal);
      for (const stop of stops) await this.#visit(stop, site.placeOf(stop.mode), signal);
    } finally {
      await site.down();
    }
  }

  /** Nothing of it is kept; what fails here fails again where it is told. */
  async #warmUp(place: Place, signal: AbortSignal): Promise<void> {
    if (WARM_UP === undefined) return;
    const record = (work: () => Promise<Reading>): Promise<Reading> => work();
    const context = { ends: place.ends, seconds: WARM_UP_SECONDS, signal, record };
    await measure(WARM_UP.probe, context, place).catch(() => signal.throwIfAborted());
  }

  async #visit(stop: Stop, place: Place, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const obstacle = obstacleTo(stop.scenario.probe, place);
    if (obstacle !== null) return this.#passBy(stop, obstacle);
    const taken: Sample[] = [];
    const record = async (work: () => Promise<Reading>): Promise<Reading> => {
      const sample = { ...this.#placeOf(stop), ...(await observe(stop, place, work, signal)) };
      taken.push(sample);
      return sample;
    };
    const context = { ends: place.ends, seconds: this.#choice.seconds, signal, record };
    try {
      await measure(stop.scenario.probe, context, place);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HopsackError)) throw error;
      this.#refuse({ ...this.#placeOf(stop), reason: messageOf(error) });
    }
    const secondsLeft = this.#pace.secondsLeft((performance.now() - startedAt) / 1000);
    for (const sample of taken) {
      this.#ledger.samples.push(sample);
      this.#report({ kind: "sample", sample, secondsLeft });
    }
  }

  /** Said once, not in every round. */
  #passBy(stop: Stop, reason: string): void {
    this.#pace.skip();
    if (stop.round === 1) this.#refuse({ ...this.#placeOf(stop), round: null, reason });
  }

  #refuse(refusal: Refusal): void {
    this.#ledger.refusals.push(refusal);
    this.#report({ kind: "refusal", refusal });
  }

  #placeOf({ scenario, mode, round }: Stop) {
    return { profile: this.#profile.name, scenario: scenario.name, mode: mode.name, round };
  }
}

/** A measurement with everything that is told about it beside its figure. @throws WRONG_ROAD */
async function observe(
  { scenario }: Stop,
  place: Place,
  work: () => Promise<Reading>,
  signal: AbortSignal,
): Promise<Omit<Sample, "profile" | "scenario" | "mode" | "round">> {
  const passed = await enterRoad(place.road, signal);
  const before = await readReports(place.statusSockets);
  const closeAccounts = openAccounts(toolsOf(scenario.probe).join("+"), place.daemons);
  const reading = await work();
  const cpuSeconds = closeAccounts();
  const after = await readReports(place.statusSockets);
  const { packets } = await leaveRoad(place.road, passed, reading.bytes - bytesByEbpf(before, after), signal);
  const pumps = pumpWork(before, after);
  return { ...reading, ...pumps, cpuSeconds, road: { device: place.road.device.name, packets } };
}
