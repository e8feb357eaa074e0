// Which function measures which kind of scenario, with which tools.
import type { Place } from "../fleet.js";
import type { ProbeSpec } from "../scenarios.js";
import { measureConnections } from "./connect.js";
import { measureTcpStream, measureUdpFlood } from "./iperf.js";
import { measureManyPeers } from "./many-peers.js";
import { measurePingLoad, measureRestart } from "./ping.js";
import type { ProbeContext } from "./probe.js";
import { measureRequestResponse } from "./sockperf.js";

/** Programs that take part, for the check that they are installed, and as the name of their processor time. */
export function toolsOf({ kind }: ProbeSpec): readonly string[] {
  switch (kind) {
    case "tcp-stream":
    case "udp-flood":
    case "many-peers":
      return ["iperf3"];
    case "ping-load":
    case "restart":
      return ["iperf3", "ping"];
    case "tcp-connect":
      return ["curl"];
    case "request-response":
      return ["sockperf"];
  }
}

/** Why a scenario cannot be measured there at all, or null. */
export function obstacleTo({ kind }: ProbeSpec, { crowd, restartSecond }: Place): string | null {
  if (kind === "many-peers" && crowd === null) return "no lab's daemon keeps its routes";
  if (kind === "restart" && restartSecond === null) return "no lab's daemon keeps its routes, so none can be restarted";
  return null;
}

/** Takes every sample of one stop. @throws TOOL_MISSING, TOOL_FAILED, and what `context.record` throws */
export async function measure(spec: ProbeSpec, context: ProbeContext, place: Place): Promise<void> {
  switch (spec.kind) {
    case "tcp-stream":
      return measureTcpStream(context, spec);
    case "udp-flood":
      return measureUdpFlood(context, spec);
    case "request-response":
      return measureRequestResponse(context, spec);
    case "ping-load":
      return measurePingLoad(context, spec);
    case "tcp-connect":
      return measureConnections(context, spec);
    case "many-peers":
      if (place.crowd !== null) await measureManyPeers(context, spec, place.crowd);
      return;
    case "restart":
      if (place.restartSecond !== null) await measureRestart(context, spec, place.restartSecond);
      return;
  }
}
