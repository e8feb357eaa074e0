// The command `hopsack` with all its commands, one file each: what main.ts runs, and what the manual is generated from.
import { Command } from "commander";
import { packageVersion } from "../daemon/version.js";
import { addAttachCommands } from "./attach.js";
import { addBenchCommand } from "./bench.js";
import { addCaptureCommand } from "./capture.js";
import { addCleanupCommand } from "./cleanup.js";
import { addDockerCommands } from "./docker.js";
import { addDoctorCommand } from "./doctor.js";
import { addLabCommand } from "./lab.js";
import { addLeasesCommand } from "./leases.js";
import { addGetCommand, addNodeCommand } from "./nodes.js";
import { addPolicyCommand } from "./policy.js";
import { addServiceCommand } from "./service.js";
import { addStatusCommand } from "./status.js";
import { addTopCommand } from "./top.js";
import { addTraceCommand } from "./trace.js";

export function hopsackCommand(): Command {
  const program = new Command("hopsack")
    .description(
      "Looks at the overlay network daemon of this host and at the leases of all, and builds labs of network namespaces.",
    )
    .version(`hopsack ${packageVersion()}`, "--version", "print the version and exit")
    .helpOption("-h, --help", "print this help and exit")
    // `hopsack bench report FILE --output DIR` is the report's --output, whatever `hopsack bench` means by that word.
    .enablePositionalOptions()
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  addStatusCommand(program);
  addTopCommand(program);
  addDoctorCommand(program);
  addCaptureCommand(program);
  addTraceCommand(program);
  addLeasesCommand(program);
  addPolicyCommand(program);
  addNodeCommand(program);
  addGetCommand(program);
  addCleanupCommand(program);
  addAttachCommands(program);
  addDockerCommands(program);
  addServiceCommand(program);
  addLabCommand(program);
  addBenchCommand(program);
  return program;
}
