// Keeps flannel's subnet.env true: written when what it says has changed. Called by forwarding.ts, last of all: who reads it may count on
// packets flowing.
import { isDeepStrictEqual } from "node:util";
import type { Lease } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import { type SubnetEnvValues, writeSubnetEnv } from "../lease/subnet-env.js";
import type { Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";

export class SubnetFile {
  readonly #options: Pick<DaemonOptions, "subnetFile" | "ipMasq">;
  readonly #log: Logger;
  #written: SubnetEnvValues | null = null;

  constructor(options: Pick<DaemonOptions, "subnetFile" | "ipMasq">, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** @param mtuBytes of a packet that fits into every device @throws FILE_UNWRITABLE */
  async write(own: Lease, { network, networkV6 }: NetworkConfig, mtuBytes: number): Promise<void> {
    const { subnet, subnetV6 } = own;
    const { subnetFile: path, ipMasq } = this.#options;
    const ownNetworkV6 = subnetV6 === null ? null : networkV6;
    const values: SubnetEnvValues = { network, subnet, networkV6: ownNetworkV6, subnetV6, mtuBytes, ipMasq };
    if (isDeepStrictEqual(values, this.#written)) return;
    await writeSubnetEnv(path, values);
    this.#written = values;
    this.#log.info({ path }, "subnet_file_written");
  }
}
