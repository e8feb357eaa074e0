// Metrics whose values are known before anybody asks, read when somebody does. prom-client's own ones want to be told each
// change, and look every sample up by its labels: with a thousand peers that is most of a scrape.
import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
} from "prom-client";

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Observations by their size; each is counted once, in the first bucket that it fits into. */
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>;
  /** Upper bounds in rising order, the last one infinite. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  readonly sum: number;
}

export class KnownCounter extends Counter {
  readonly #read: () => readonly Sample[];

  constructor(config: CounterConfiguration<string>, read: () => readonly Sample[]) {
    super(config);
    this.#read = read;
  }

  override async get() {
    return { ...(await super.get()), values: [...this.#read()] };
  }
}

export class KnownGauge extends Gauge {
  readonly #read: () => readonly Sample[];

  constructor(config: GaugeConfiguration<string>, read: () => readonly Sample[]) {
    super(config);
    this.#read = read;
  }

  override async get() {
    return { ...(await super.get()), values: [...this.#read()] };
  }
}

export class KnownHistogram extends Histogram {
  readonly #config: HistogramConfiguration<string>;
  readonly #read: () => readonly Distribution[];

  constructor(config: HistogramConfiguration<string>, read: () => readonly Distribution[]) {
    super(config);
    this.#config = config;
    this.#read = read;
  }

  /** What the registry calls to print it; get() goes by it as well. */
  async getForPromString() {
    const values = this.#read().flatMap((distribution) => this.#samples(distribution));
    const { name, help } = this.#config;
    return { name, help, type: "histogram", aggregator: "sum", values };
  }

  #samples({ labels, buckets, sum }: Distribution) {
    const { name } = this.#config;
    let count = 0;
    const samples = buckets.map(([bound, own]) => {
      count += own;
      const le = bound === Number.POSITIVE_INFINITY ? "+Inf" : bound;
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    });
    return [
      ...samples,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}
