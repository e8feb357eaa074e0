// Opens the pump: goes on with the device and the socket of a predecessor, or makes new ones. Called by forwarding.ts.
import type { HandedOver } from "../addon.js";
import type { PumpOptions } from "../dataplane/pump.js";
import { HopsackError } from "../errors.js";
import { failure, type Logger } from "./log.js";
import type { Service } from "./service.js";
import type { RunningPump, World } from "./world.js";

/** A service manager closes its copies of an old device and socket when it comes to it. */
const COPIES_CLOSED_LIMIT_MS = 1000;
const COPIES_LOOK_MS = 10;

interface Parts {
  readonly world: World;
  readonly log: Logger;
  readonly service: Service;
}

type Options = Omit<PumpOptions, "handedOver">;

/** Whom this process follows. */
export interface Predecessor {
  /** Its device and socket; null: its mode needed none. */
  readonly pair: HandedOver | null;
  /** This process carries the packets, or needs the device's name: resolves when the other one has closed both. May be called twice. */
  dismiss(): Promise<void>;
}

/** @throws NO_TUN, DEVICE_BUSY, NOT_PERMITTED, PORT_TAKEN */
export async function openPump(
  parts: Parts,
  options: Options,
  before: Predecessor | null,
): Promise<{ readonly pump: RunningPump; readonly isHandedOver: boolean }> {
  const handedOver = before?.pair ?? null;
  const pump = handedOver === null ? null : goOn(parts, options, handedOver);
  if (pump !== null) return { pump, isHandedOver: true };
  await before?.dismiss();
  return { pump: await openAnew(parts, options), isHandedOver: false };
}

/** null: what was handed over cannot be used. */
function goOn({ world, log, service }: Parts, options: Options, handedOver: HandedOver): RunningPump | null {
  try {
    const pump = world.openPump({ ...options, handedOver });
    log.info({ device: pump.tunName }, "handover_used");
    return pump;
  } catch (error) {
    if (!(error instanceof HopsackError) || error.code !== "HANDOVER_FAILED") throw error;
    log.warn(failure(error), "handover_unused");
    service.forget();
    return null;
  }
}

async function openAnew({ world, service }: Parts, options: Options): Promise<RunningPump> {
  const deadline = world.clock.monotonic() + (service.isManaged ? COPIES_CLOSED_LIMIT_MS : 0);
  for (;;) {
    try {
      return world.openPump({ ...options, handedOver: null });
    } catch (error) {
      const isTaken = error instanceof HopsackError && ["DEVICE_BUSY", "PORT_TAKEN"].includes(error.code);
      if (!isTaken || world.clock.monotonic() >= deadline) throw error;
      await world.clock.sleep(COPIES_LOOK_MS, new AbortController().signal);
    }
  }
}
