// backend/extension: flannel's keys and variables, as data.
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import { createExtensionBackend } from "../../../src/backend/extension.js";
import type { Lease } from "../../../src/lease/lease.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const COMMANDS = {
  PreStartupCommand: "echo pre",
  PostStartupCommand: "echo post",
  SubnetAddCommand: "echo add",
  SubnetRemoveCommand: "echo remove",
  ShutdownCommand: "echo bye",
};

function input(backend: object, changes: Partial<BackendInput> = {}, network: object = {}): BackendInput {
  return backendInput({ ...network, Backend: { Type: "extension", ...backend } }, changes);
}

function peer(number: number, backendData: unknown): Lease {
  return { ...reservation(number), attrs: { ...attrs(number), publicIp: "192.168.50.2", backendData } };
}

t.test("the plan carries each command with flannel's variables, and nothing for the kernel", async (t) => {
  const backend = createExtensionBackend(input(COMMANDS));
  const { commands, ...rest } = backend.plan(reservation(1), [peer(2, "6a:ba:e3:54:80:46")]);
  for (const rows of Object.values(rest)) t.same(rows, []);
  const network = { NETWORK: "10.244.0.0/16" };
  const own = { ...network, SUBNET: "10.244.1.0/24", PUBLIC_IP: "192.168.50.1" };
  const other = { ...network, SUBNET: "10.244.2.0/24", PUBLIC_IP: "192.168.50.2" };
  t.same(commands, {
    host: {
      key: "10.244.1.0-24",
      enter: { name: "PostStartupCommand", line: "echo post", environment: own, input: "" },
      leave: { name: "ShutdownCommand", line: "echo bye", environment: own, input: "" },
    },
    peers: [
      {
        key: "10.244.2.0-24",
        enter: { name: "SubnetAddCommand", line: "echo add", environment: other, input: "6a:ba:e3:54:80:46\n" },
        leave: { name: "SubnetRemoveCommand", line: "echo remove", environment: other, input: "6a:ba:e3:54:80:46\n" },
      },
    ],
  });
  const start = { ...network, PUBLIC_IP: "192.168.50.1" };
  t.same(backend.startCommand, { name: "PreStartupCommand", line: "echo pre", environment: start, input: "" });
});

t.test("IPv6 parts are told where they are known", async (t) => {
  const v6 = { EnableIPv6: true, IPv6Network: "fd00:244::/48" };
  const backend = createExtensionBackend(input(COMMANDS, {}, v6));
  const lease = peer(2, null);
  const dual = {
    ...lease,
    subnetV6: prefix("fd00:244:0:2::/64"),
    attrs: { ...lease.attrs, publicIpv6: "2001:db8::2" },
  };
  t.match(backend.plan(reservation(1), [dual]).commands?.peers[0]?.enter?.environment, {
    IPV6_NETWORK: "fd00:244::/48",
    IPV6SUBNET: "fd00:244:0:2::/64",
    PUBLIC_IPV6: "2001:db8::2",
  });
});

t.test("what PreStartupCommand prints is published: JSON where it is JSON, else the text", async (t) => {
  const published = (startOutput?: string): unknown =>
    createExtensionBackend(input(COMMANDS, startOutput === undefined ? {} : { startOutput })).leaseAttrs("h1")
      .backendData;
  t.same(published('{"VNI": 1}\n'), { VNI: 1 });
  t.equal(published("6a:ba:e3:54:80:46\n"), "6a:ba:e3:54:80:46");
  t.equal(published("two\nlines\n"), "two\nlines");
  t.equal(published(" \n"), null);
  t.equal(published(), null);
  const { commands } = createExtensionBackend(input(COMMANDS)).plan(reservation(1), [
    peer(2, { VNI: 1 }),
    peer(3, null),
  ]);
  t.same(
    commands?.peers.map(({ enter }) => enter?.input),
    ['{"VNI":1}\n', ""],
  );
});

t.test("without commands there is nothing to run; what is no command is BAD_CONFIG", async (t) => {
  const backend = createExtensionBackend(input({ PreStartupCommand: " " }));
  t.equal(backend.startCommand, null);
  t.match(backend.plan(reservation(1), []).commands, { host: { enter: null, leave: null }, peers: [] });
  t.throws(() => createExtensionBackend(input({ SubnetAddCommand: ["ip", "route"] })), {
    code: "BAD_CONFIG",
    message:
      'Backend.SubnetAddCommand ["ip","route"] is not a command; write a line for /bin/sh in quotes, or remove the key',
  });
});
