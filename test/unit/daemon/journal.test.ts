import { fstatSync, openSync } from "node:fs";
import t from "tap";
import { asJournalErrors, journalEntry, leadsToJournal } from "../../../src/daemon/journal.js";

t.test("an event's keys are fields in the journal's spelling, beside the message for people", async (t) => {
  const line = {
    level: "warn",
    time: "2026-01-02T03:04:05.678Z",
    publicIpv6: null,
    event: "trouble",
    lostPeers: 2,
    reason: "first\nsecond",
  };
  t.equal(
    journalEntry("trouble lostPeers=2", line),
    [
      "MESSAGE=trouble lostPeers=2",
      "PRIORITY=4",
      "SYSLOG_IDENTIFIER=hopsackd",
      "HOPSACK_PUBLIC_IPV6=null",
      "HOPSACK_EVENT=trouble",
      "HOPSACK_LOST_PEERS=2",
      'HOPSACK_REASON="first\\nsecond"',
      "",
    ].join("\n"),
  );
});

t.test("levels are those of syslog", async (t) => {
  const priorityOf = (level: string): string | undefined => /PRIORITY=(.*)/.exec(journalEntry("", { level }))?.[1];
  t.same(["trace", "debug", "info", "warn", "error", "fatal"].map(priorityOf), ["7", "7", "6", "4", "3", "2"]);
});

t.test("a descriptor leads to the journal when it is the socket that the service manager names", async (t) => {
  const fd = openSync("/dev/null", "w");
  const { dev, ino } = fstatSync(fd);
  t.ok(leadsToJournal(fd, { JOURNAL_STREAM: `${dev}:${ino}` }));
  t.notOk(leadsToJournal(fd, { JOURNAL_STREAM: `${dev}:${ino + 1}` }), "redirected into a file");
  t.notOk(leadsToJournal(fd, {}));
});

t.test("every line of an error for the journal has its priority", async (t) => {
  t.equal(asJournalErrors("hopsackd: no [BAD_OPTION]\n  more"), "<3>hopsackd: no [BAD_OPTION]\n<3>  more");
});
