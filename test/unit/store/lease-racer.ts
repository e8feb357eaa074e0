// One process of file-processes.test.ts: on the message "go" it acquires leases for `count` hosts at once and reports them.
import { type LeaseAttrs, leaseKey } from "../../../src/lease/lease.js";
import { FileLeaseStore } from "../../../src/store/file.js";

const [folder = "", first = "0", count = "0"] = process.argv.slice(2);

function attrs(number: number): LeaseAttrs {
  const publicIp = `192.168.50.${number}`;
  return { publicIp, publicIpv6: null, backendType: "udp", backendData: null, backendV6Data: null, node: `h${number}` };
}

async function race(): Promise<void> {
  const hosts = Array.from({ length: Number(count) }, (_, index) => Number(first) + index);
  const keys = await Promise.all(
    hosts.map(async (number) => {
      const store = new FileLeaseStore({ folder, leaseTtlSeconds: 3600, netConfigPath: null });
      const request = { config: await store.readConfig(), attrs: attrs(number), previous: null };
      return leaseKey(await store.acquire(request));
    }),
  );
  process.send?.(keys, () => process.disconnect());
}

// A test runner that is given the whole folder starts this file too, without arguments.
if (folder !== "") {
  process.once("message", race);
  process.send?.("ready");
}
