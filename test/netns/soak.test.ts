// The program of `npm run soak`, for a few seconds: it does what it counts, and sees what grows. Memory is judged by the whole only.
import t from "tap";
import { withDaemons } from "../support/hopsackd.js";
import { type SoakReport, shortcomings, soak } from "../support/soak.js";

const SECONDS = 12;

t.test("what is not flat is named", async (t) => {
  const look = { memoryMegabytes: 100, descriptors: 30 };
  const flat: SoakReport = {
    ...{ leaseChanges: 1, takeovers: 1, scrapes: 1, pingsSent: 9, pingsLost: 0, lagP99Seconds: 0.01 },
    lasting: { first: look, last: { memoryMegabytes: 104.9, descriptors: 30 } },
    replaced: { first: look, last: { memoryMegabytes: 95.1, descriptors: 29 } },
  };
  t.same(shortcomings(flat), []);
  const heavier = { first: look, last: { memoryMegabytes: 106, descriptors: 30 } };
  t.same(shortcomings({ ...flat, lasting: heavier }), ["the lasting daemon: resident memory"]);
  const fuller = { first: look, last: { ...look, descriptors: 31 } };
  t.same(shortcomings({ ...flat, replaced: fuller }), ["the daemon that is taken over: open file descriptors"]);
  t.same(shortcomings({ ...flat, pingsLost: 1 }), ["lost pings"]);
});

withDaemons(t, import.meta.url, async () => {
  t.test("leases change, daemons are taken over, somebody scrapes, and nothing is left open", async (t) => {
    const report = await soak(t, SECONDS);
    t.ok(report.takeovers >= 1 && report.leaseChanges >= 10 && report.scrapes >= 10);
    t.ok(report.pingsSent > 100);
    t.ok(report.lasting.first.memoryMegabytes > 10);
    t.ok(report.lasting.first.descriptors > 10);
    t.ok(report.lagP99Seconds > 0);
  });
});
