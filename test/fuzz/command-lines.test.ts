// hopsackd's command line and environment: whatever they are, the outcome is options, a text to print, or BAD_OPTION in one
// sentence.
import fc from "fast-check";
import t from "tap";
import { flagNames, parseInvocation } from "../../src/daemon/options.js";
import { mustParseOrRefuse, textLike } from "../support/outside-input.js";

const VALUES = [
  "0",
  "-1",
  "1e3",
  "86400",
  "10.0.0.1",
  "fd00::1",
  "file:/x",
  "etcd:http://h:2379",
  "true",
  "maybe",
  "/x",
  "eth0",
  "1h",
];

t.test("flags and variables of hopsackd", async () => {
  const names = flagNames();
  const value = textLike(...VALUES);
  const flag = fc.tuple(fc.constantFrom("--", "-", ""), textLike(...names), fc.constantFrom("=", " ", ""), value);
  const args = flag.chain(([dashes, name, between, value]) =>
    fc.constant(between === " " ? [dashes + name, value] : [dashes + name + between + value]),
  );
  const argv = fc.array(args, { maxLength: 4 }).map((all) => ["--lease-store", "file:/x", ...all.flat()]);
  const variable = fc.constantFrom(...names).map((name) => `HOPSACKD_${name.toUpperCase().replaceAll("-", "_")}`);
  const env = fc.dictionary(variable, value, { maxKeys: 3 });
  mustParseOrRefuse(fc.tuple(argv, env), ([argv, env]) => parseInvocation(argv, env, "1.0.0"), ["BAD_OPTION"]);
});
