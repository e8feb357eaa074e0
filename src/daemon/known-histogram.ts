// Histograms whose observations were counted before anybody asked: prom-client's own one wants to be told each of them.
import { Histogram, type HistogramConfiguration } from "prom-client";

/** Observations by their size; each is counted once, in the first bucket that it fits into. */
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>;
  /** Upper bounds in rising order, the last one infinite. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  readonly sum: number;
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
