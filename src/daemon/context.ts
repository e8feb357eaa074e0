// What every step and loop of the daemon needs.
import type { Bell } from "./bell.js";
import type { Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";
import type { Service } from "./service.js";
import type { DaemonState } from "./state.js";
import type { UndoStack } from "./undo.js";
import type { World } from "./world.js";

export interface Context {
  readonly options: DaemonOptions;
  readonly world: World;
  readonly log: Logger;
  readonly state: DaemonState;
  readonly service: Service;
  /** How everything is taken back. */
  readonly undo: UndoStack;
  /** How this process ends when another one goes on in its place: what is in force stays. */
  readonly leave: UndoStack;
  /** What comes after that, once the other one carries the packets. */
  readonly packets: UndoStack;
  readonly bells: Bells;
}

interface Bells {
  /** Device, lease, peers or setting may not be what the plan in force says. */
  readonly changed: Bell;
  /** The own lease may be gone, or must be published anew. */
  readonly doubt: Bell;
  /** Links, addresses or routes of the host changed. */
  readonly host: Bell;
  /** The network configuration may have changed. */
  readonly config: Bell;
}
