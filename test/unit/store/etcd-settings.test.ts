import t from "tap";
import { checkedEtcdSettings, type EtcdSettings } from "../../../src/store/etcd-settings.js";

function checked(more: Partial<EtcdSettings>): EtcdSettings {
  const files = { caFile: null, certFile: null, keyFile: null };
  const login = { username: null, password: null, passwordFile: null };
  return checkedEtcdSettings({ endpoints: ["http://a:2379"], prefix: "/lab", ...files, ...login, ...more });
}

t.test("endpoints and prefixes are brought to one form", async (t) => {
  const forms: [string, string][] = [
    ["10.0.0.5:2379", "http://10.0.0.5:2379"],
    ["etcd-1", "http://etcd-1:2379"],
    ["http://a:4001/", "http://a:4001"],
    ["https://[fd00::5]:2379", "https://[fd00::5]:2379"],
    ["https://[fd00::5]", "https://[fd00::5]:2379"],
  ];
  for (const [text, endpoint] of forms) t.same(checked({ endpoints: [text] }).endpoints, [endpoint]);
  for (const prefix of ["lab/net", "/lab/net", "/lab/net/", "lab/net//"])
    t.equal(checked({ prefix }).prefix, "/lab/net");
});

t.test("what cannot be meant is one sentence with option, value and cure", async (t) => {
  const faults: [Partial<EtcdSettings>, RegExp][] = [
    [{ endpoints: [""] }, /^--etcd-endpoints "" is not an endpoint; give http:\/\/HOST:PORT/],
    [{ endpoints: [] }, /^--etcd-endpoints "" names no endpoint/],
    [{ endpoints: ["ftp://a"] }, /"ftp:\/\/a" is not an endpoint/],
    [{ endpoints: ["http://a:99999"] }, /"http:\/\/a:99999" is not an endpoint/],
    [{ endpoints: ["http://a:0"] }, /is not an endpoint/],
    [{ endpoints: ["http://user@a"] }, /is not an endpoint/],
    [{ endpoints: ["http://a b"] }, /is not an endpoint/],
    [{ endpoints: ["http://a:1", "https://b:1"] }, /mixes http and https; use one of them for all$/],
    [{ caFile: "/ca" }, /^--etcd-cafile \/ca means TLS, and --etcd-endpoints http:\/\/a:2379 is plain http; use https/],
    [{ endpoints: ["https://a"], certFile: "/c" }, /^--etcd-certfile needs --etcd-keyfile beside it/],
    [{ endpoints: ["https://a"], keyFile: "/k" }, /^--etcd-keyfile needs --etcd-certfile beside it/],
    [{ username: "u" }, /^--etcd-username u has no password; give --etcd-password-file/],
    [{ password: "secret" }, /^an etcd password is given without --etcd-username/],
    [{ username: "u", password: "secret", passwordFile: "/f" }, /are both given; give one of them$/],
    [{ prefix: "/" }, /^--etcd-prefix "\/" is not a key prefix/],
    [{ prefix: "/a b" }, /is not a key prefix/],
    [{ prefix: "/a//b" }, /is not a key prefix/],
  ];
  for (const [more, message] of faults) {
    t.throws(() => checked(more), { code: "BAD_OPTION", message });
    t.doesNotThrow(() => checked({}));
  }
});

t.test("no sentence shows a password", async (t) => {
  try {
    checked({ password: "secret" });
    t.fail("accepted");
  } catch (error) {
    t.notMatch(String(error), /secret/);
  }
});
