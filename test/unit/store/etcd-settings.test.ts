// store/etcd-settings: endpoints and prefixes in every form people write, and what does not go together.
import fc from "fast-check";
import t from "tap";
import { HopsackError } from "../../../src/errors.js";
import {
  checkedEtcdSettings,
  DEFAULT_ETCD_ENDPOINTS,
  DEFAULT_ETCD_PREFIX,
  type EtcdSettings,
} from "../../../src/store/etcd-settings.js";

const DEFAULTS: EtcdSettings = {
  endpoints: DEFAULT_ETCD_ENDPOINTS,
  prefix: DEFAULT_ETCD_PREFIX,
  caFile: null,
  certFile: null,
  keyFile: null,
  username: null,
  password: null,
  passwordFile: null,
};

function check(changes: Partial<EtcdSettings>): EtcdSettings {
  return checkedEtcdSettings({ ...DEFAULTS, ...changes });
}

function refusal(changes: Partial<EtcdSettings>): string {
  try {
    check(changes);
  } catch (error) {
    if (error instanceof HopsackError && error.code === "BAD_OPTION") return error.message;
    throw error;
  }
  return "accepted";
}

t.test("the defaults are flannel's prefix on this machine's etcd", async (t) => {
  t.same(check({}), { ...DEFAULTS, endpoints: ["http://127.0.0.1:2379"], prefix: "/coreos.com/network" });
});

t.test("an endpoint becomes scheme, host and port", async (t) => {
  const cases: readonly [text: string, endpoint: string][] = [
    ["http://192.168.50.2:2379", "http://192.168.50.2:2379"],
    ["https://etcd.lab:4001/", "https://etcd.lab:4001"],
    ["http://etcd-1", "http://etcd-1:2379"],
    ["etcd-1", "http://etcd-1:2379"],
    ["etcd-1:4001", "http://etcd-1:4001"],
    ["http://[fd00::2]:2379", "http://[fd00::2]:2379"],
    ["http://[fd00::2]", "http://[fd00::2]:2379"],
  ];
  for (const [text, endpoint] of cases) t.same(check({ endpoints: [text] }).endpoints, [endpoint], text);
});

t.test("what is no endpoint is refused by name", async (t) => {
  const texts = [
    "",
    "http://",
    "ftp://a",
    "http://a:0",
    "http://a:65536",
    "http://a:b",
    "http://a/x",
    "a b",
    "fd00::2",
  ];
  for (const text of texts) {
    const sentence = `--etcd-endpoints ${JSON.stringify(text)} is not an endpoint; give http://HOST:PORT or https://HOST:PORT`;
    t.equal(refusal({ endpoints: ["http://good:2379", text] }), sentence);
  }
  t.match(refusal({ endpoints: [] }), /names no endpoint; give http:\/\/HOST:2379$/);
  t.match(refusal({ endpoints: ["http://root:secret@a"] }), /give --etcd-username and --etcd-password-file instead$/);
  t.notMatch(refusal({ endpoints: ["http://root:secret@a"] }), /secret/);
});

t.test("whatever text is given, the endpoint is complete or the text is refused", async (t) => {
  const hostish = fc.string({ unit: fc.constantFrom(..."ah1:/.[]@ -%"), maxLength: 12 });
  const text = fc.oneof(
    fc.string(),
    hostish,
    hostish.map((rest) => `http://${rest}`),
  );
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(text, (endpoint) => {
        if (refusal({ endpoints: [endpoint] }) !== "accepted") return true;
        const [checked = ""] = check({ endpoints: [endpoint] }).endpoints;
        return URL.canParse(checked) && /^https?:\/\/\S+:[0-9]+$/.test(checked);
      }),
    ),
  );
});

t.test("a prefix begins with one slash and ends with none", async (t) => {
  for (const text of ["/lab/net", "lab/net", "//lab/net//", "/lab/net/"])
    t.equal(check({ prefix: text }).prefix, "/lab/net");
  for (const text of ["", "/", "///", "/lab//net", "/lab net", "/lab\n"]) {
    const sentence = `--etcd-prefix ${JSON.stringify(text)} is not a key prefix; give one such as /coreos.com/network`;
    t.equal(refusal({ prefix: text }), sentence);
  }
});

t.test("options that do not go together are refused in one sentence", async (t) => {
  const secure = { endpoints: ["https://a:2379"] };
  const cases: readonly [Partial<EtcdSettings>, string | RegExp][] = [
    [
      { endpoints: ["http://a", "https://b"] },
      /^--etcd-endpoints http:\/\/a:2379,https:\/\/b:2379 mixes http and https; /,
    ],
    [{ caFile: "/ca" }, /^--etcd-cafile \/ca means TLS, and --etcd-endpoints http:.* is plain http; use https:\/\/$/],
    [{ certFile: "/cert", keyFile: "/key" }, /^--etcd-certfile \/cert means TLS/],
    [{ ...secure, certFile: "/cert" }, "--etcd-certfile needs --etcd-keyfile beside it; give both or neither"],
    [{ ...secure, keyFile: "/key" }, "--etcd-keyfile needs --etcd-certfile beside it; give both or neither"],
    [{ username: "u", password: "p", passwordFile: "/p" }, /^--etcd-password and --etcd-password-file are both given/],
    [{ password: "p" }, "an etcd password is given without --etcd-username; give both or neither"],
    [{ passwordFile: "/p" }, "an etcd password is given without --etcd-username; give both or neither"],
    [{ username: "u" }, "--etcd-username u has no password; give --etcd-password-file PATH"],
  ];
  for (const [changes, sentence] of cases) t.match(refusal(changes), sentence);
  const full = { ...secure, caFile: "/ca", certFile: "/cert", keyFile: "/key", username: "u", password: "p" };
  t.same(check(full), { ...DEFAULTS, ...full }, "and all that goes together passes");
});
