// A scrape, and what stands in it.
import { run } from "./netns.js";

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export class Scrape {
  readonly samples: readonly Sample[];

  constructor(body: string) {
    this.samples = body
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map(parseSample);
  }

  /** Of the first sample with these labels, and perhaps others; NaN where there is none. */
  value(name: string, labels: Labels = {}): number {
    const isMeant = (sample: Sample): boolean =>
      Object.entries(labels).every(([key, text]) => sample.labels[key] === text);
    return this.samples.find((sample) => sample.name === name && isMeant(sample))?.value ?? Number.NaN;
  }

  labels(name: string): Labels[] {
    return this.samples.filter((sample) => sample.name === name).map(({ labels }) => labels);
  }
}

/** Since the first scrape, in seconds: the upper bound of the bucket that the 99th percentile lies in. */
export function loopLagP99(page: Scrape): number {
  const name = "hopsack_event_loop_lag_seconds";
  const enough = 0.99 * page.value(`${name}_count`);
  const bucket = page.samples.find((sample) => sample.name === `${name}_bucket` && sample.value >= enough);
  return Number(bucket?.labels.le?.replace("+Inf", "Infinity"));
}

/** GET /metrics on a status socket. */
export function scrape(socketPath: string): Scrape {
  return new Scrape(run(`curl -sS --unix-socket ${socketPath} http://localhost/metrics`));
}

function parseSample(line: string): Sample {
  const [, name = "", inner = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  const labels = Object.fromEntries([...inner.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key, text]) => [key, text]));
  return { name, labels, value: Number(value) };
}
