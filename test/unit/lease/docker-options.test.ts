// lease/docker-options: the bytes of flannel's mk-docker-opts.sh (its own test's cases), and daemon.json with nothing else touched.
import t from "tap";
import { type DockerOptsChoice, formatDockerOpts, mergeDockerConfig } from "../../../src/lease/docker-options.js";
import { subnetEnvWords } from "../../../src/lease/subnet-env.js";

const LEASE = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n";
const WORDS = subnetEnvWords(LEASE);
const BOTH: DockerOptsChoice = {
  hasIndividual: true,
  hasCombined: true,
  combinedKey: "DOCKER_OPTS",
  combinedBefore: "",
  hasIpMasq: true,
};
const INDIVIDUAL =
  'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_IPMASQ="--ip-masq=true"\nDOCKER_OPT_MTU="--mtu=1472"\n';
const COMBINED = '" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n';

t.test("each choice gives the script's bytes", async (t) => {
  t.equal(formatDockerOpts(WORDS, BOTH), `${INDIVIDUAL}DOCKER_OPTS=${COMBINED}`);
  t.equal(formatDockerOpts(WORDS, { ...BOTH, hasCombined: false }), INDIVIDUAL);
  t.equal(formatDockerOpts(WORDS, { ...BOTH, hasIndividual: false }), `DOCKER_OPTS=${COMBINED}`);
  t.equal(formatDockerOpts(WORDS, { ...BOTH, combinedKey: "CUSTOM_KEY" }), `${INDIVIDUAL}CUSTOM_KEY=${COMBINED}`);
  t.equal(
    formatDockerOpts(WORDS, { ...BOTH, hasIpMasq: false }),
    'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_MTU="--mtu=1472"\nDOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n',
  );
});

t.test("Docker masquerades when the daemon does not, and what the variable held stays in front", async (t) => {
  const masq = subnetEnvWords(LEASE.replace("false", "true"));
  t.match(formatDockerOpts(masq, BOTH), 'DOCKER_OPT_IPMASQ="--ip-masq=false"\n');
  t.match(formatDockerOpts(WORDS, { ...BOTH, combinedBefore: "-D" }), 'DOCKER_OPTS="-D --bip=10.1.74.1/24 ');
});

t.test("daemon.json keeps its other keys in their order", async (t) => {
  const before = '{"log-driver": "journald", "mtu": 9000, "x": {"y": [1]}}';
  const after = '{\n  "log-driver": "journald",\n  "mtu": 1472,\n  "x": {\n    "y": [\n      1\n    ]\n  },\n';
  const ours = '  "bip": "10.1.74.1/24",\n  "ip-masq": true\n}\n';
  const merged = mergeDockerConfig(before, WORDS, "daemon.json");
  t.equal(merged, after + ours);
  t.equal(mergeDockerConfig(merged, WORDS, "daemon.json"), merged, "a second time nothing changes");
  t.strictSame(JSON.parse(mergeDockerConfig(null, WORDS, "f")), { bip: "10.1.74.1/24", mtu: 1472, "ip-masq": true });
});

t.test("a daemon.json that cannot be read, or contradicts, is left alone and said", async (t) => {
  for (const text of ["{", "[]", '"x"']) {
    t.throws(
      () => mergeDockerConfig(text, WORDS, "/d.json"),
      { code: "BAD_CONFIG", message: /^\/d\.json is no JSON / },
      text,
    );
  }
  const bridge = { code: "BAD_CONFIG", message: /^\/d\.json has "bridge": "br0", and Docker takes no bip beside it; / };
  t.throws(() => mergeDockerConfig('{"bridge": "br0"}', WORDS, "/d.json"), bridge);
});
