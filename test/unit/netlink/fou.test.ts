// netlink/fou and netlink/generic: what is asked for, and how the kernel's list is read. Ports of a real kernel: scripts/vm-fou.
import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import { encodeFouAdd, encodeFouDump, encodeFouRemoval, parseFouPort } from "../../../src/netlink/fou.js";
import { encodeFamilyQuery, parseFamily } from "../../../src/netlink/generic.js";
import { MessageFlag, parseMessage } from "../../../src/netlink/message.js";

/** Captured from Linux 6.1 on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const payload = (bytes: Uint8Array): Uint8Array => parseMessage(bytes)?.payload ?? new Uint8Array();

const FAMILY = 28;
const PORT = { port: 8285, localAddress: "192.168.50.10", protocol: 4, isPlain: true };

t.test("a port is asked for in the bytes that `ip fou add port 8285 ipproto 4 local …` sends", golden, async (t) => {
  const message = parseMessage(encodeFouAdd(7, FAMILY, PORT));
  t.match(message, { type: FAMILY, sequence: 7, flags: MessageFlag.request | MessageFlag.ack });
  const [port, family] = ["06000100205d0000", "0500020002000000"];
  const [local, protocol, type] = ["08000600c0a8320a", "0500030004000000", "0500040001000000"];
  t.equal(hex(message?.payload), `01010000${port}${family}${local}${protocol}${type}`);
});

t.test("what is asked for is what is read back; a removal names number and address alone", async (t) => {
  for (const port of [PORT, { ...PORT, localAddress: null, protocol: 47 }]) {
    t.strictSame(parseFouPort(payload(encodeFouAdd(1, FAMILY, port))), port);
  }
  const removal = payload(encodeFouRemoval(1, FAMILY, PORT));
  t.match(parseFouPort(removal), { port: 8285, localAddress: "192.168.50.10", protocol: 0 });
  t.equal(removal[0], 2, "FOU_CMD_DEL");
});

t.test("the kernel's zeros mean: any address, any sender, any link", async (t) => {
  const shown = (changes: Record<string, string>): Uint8Array => {
    const rows = {
      head: "03010000",
      family: "0500020002000000",
      port: "06000100205d0000",
      peerPort: "06000a0000000000",
      protocol: "0500030004000000",
      type: "0500040001000000",
      link: "08000b0000000000",
      local: "0800060000000000",
      peer: "0800080000000000",
      ...changes,
    };
    return new Uint8Array(Buffer.from(Object.values(rows).join(""), "hex"));
  };
  t.strictSame(parseFouPort(shown({})), { ...PORT, localAddress: null });
  t.strictSame(parseFouPort(shown({ local: "08000600c0a8320a" })), PORT);
  const others = {
    link: "08000b0002000000",
    peer: "08000800c0a8320b",
    type: "0500040002000000",
    family: "050002000a000000",
  };
  for (const [key, row] of Object.entries(others)) t.equal(parseFouPort(shown({ [key]: row }))?.isPlain, false, key);
});

t.test("a dump is marked as one, and is acknowledged", async (t) => {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.dump;
  t.match(parseMessage(encodeFouDump(3, FAMILY)), { type: FAMILY, flags });
});

t.test("a family is asked for by its name, and answers with its number", golden, async (t) => {
  const query = parseMessage(encodeFamilyQuery(5, "fou"));
  t.match(query, { type: 16, flags: MessageFlag.request | MessageFlag.ack });
  t.equal(hex(query?.payload), "0301000008000200666f7500");
  t.equal(parseFamily(new Uint8Array(Buffer.from("0102000008000200666f7500060001001c000000", "hex"))), FAMILY);
  t.equal(parseFamily(payload(encodeFamilyQuery(5, "fou"))), undefined, "a message without a number");
});

t.test("any bytes are read without an exception", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      parseFouPort(random);
      parseFamily(random);
    }),
  );
});
