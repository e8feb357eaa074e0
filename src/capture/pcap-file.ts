// A capture on disk, as Wireshark and tcpdump read it. Never overwrites what is there.
import { closeSync, openSync, writeSync } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { LINK_TYPE_LINUX_SLL2 } from "../wire/pcap.js";
import { pcapngHeader, pcapngInterface, pcapngPacket } from "../wire/pcapng.js";
import type { Sighting } from "./sighting.js";

export class PcapFile {
  readonly #path: string;
  readonly #devices: readonly string[];
  readonly #file: number;
  /** No packet is in it. */
  isEmpty = true;

  /** @throws FILE_UNWRITABLE */
  constructor(path: string, devices: readonly string[]) {
    this.#path = path;
    this.#devices = devices;
    this.#file = this.#reported(() => openSync(path, "wx"));
    this.#write(pcapngHeader());
    for (const device of devices) this.#write(pcapngInterface(device, LINK_TYPE_LINUX_SLL2));
  }

  /** @throws FILE_UNWRITABLE */
  add({ device, packet }: Sighting): void {
    this.isEmpty = false;
    this.#write(pcapngPacket(this.#devices.indexOf(device), packet));
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(bytes: Uint8Array): void {
    this.#reported(() => {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written);
    });
  }

  #reported<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const isThere = errnoOf(error) === "EEXIST";
      const words = isThere
        ? `${this.#path} is there already; remove it, or name another file with --pcap`
        : `${this.#path} cannot be written: ${messageOf(error)}`;
      throw new HopsackError("FILE_UNWRITABLE", words, { cause: error });
    }
  }
}
