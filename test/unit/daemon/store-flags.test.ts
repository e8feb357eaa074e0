import t from "tap";
import { parseInvocation } from "../../../src/daemon/options.js";
import { describeStore, type StoreChoice } from "../../../src/daemon/store-flags.js";

function store(argv: readonly string[], env: NodeJS.ProcessEnv = {}): StoreChoice {
  const invocation = parseInvocation(argv, env, "0");
  if (invocation.kind !== "run") throw new Error("not a run");
  return invocation.options.store;
}

const PLAIN = {
  endpoints: ["http://127.0.0.1:2379"],
  prefix: "/coreos.com/network",
  ...{ caFile: null, certFile: null, keyFile: null, username: null, password: null, passwordFile: null },
};

t.test("any etcd flag or variable means etcd, with flannel's defaults for the others", async (t) => {
  t.same(store(["--store", "etcd"]), { spec: "etcd", etcd: PLAIN });
  t.same(store(["-etcd-endpoints=http://10.0.0.5:2379"]).etcd, { ...PLAIN, endpoints: ["http://10.0.0.5:2379"] });
  t.same(store(["--etcd-prefix", "/lab"]).etcd, { ...PLAIN, prefix: "/lab" });
  t.same(store([], { HOPSACKD_ETCD_ENDPOINTS: "http://a:1, http://b:2" }).etcd?.endpoints, [
    "http://a:1",
    "http://b:2",
  ]);
});

t.test("every value arrives", async (t) => {
  const files = ["--etcd-cafile", "/ca", "--etcd-certfile", "/cert", "--etcd-keyfile", "/key"];
  const login = ["--etcd-username", "lab", "--etcd-password-file", "/secret"];
  const { etcd } = store(["--etcd-endpoints", "https://a:2379", "--etcd-prefix", "lab/", ...files, ...login]);
  t.same(etcd, {
    endpoints: ["https://a:2379"],
    prefix: "/lab",
    ...{ caFile: "/ca", certFile: "/cert", keyFile: "/key", username: "lab", password: null, passwordFile: "/secret" },
  });
  t.equal(store(["--etcd-username", "lab"], { HOPSACKD_ETCD_PASSWORD: "hop" }).etcd?.password, "hop");
});

t.test("two stores at once are refused", async (t) => {
  t.throws(() => store(["--store", "file:/srv", "--etcd-prefix", "/lab"]), {
    code: "BAD_OPTION",
    message: "--etcd-prefix is for the store etcd, and --store is file:/srv; leave one of them away",
  });
});

t.test("a store's description shows no password", async (t) => {
  const choice = store(["--etcd-username", "lab", "--etcd-password", "hop"]);
  t.equal(describeStore(choice), "etcd http://127.0.0.1:2379/coreos.com/network");
  t.equal(describeStore(store([])), "file:/var/lib/hopsack");
});
