// `hopsack doctor`: looks for what keeps overlays from working, and says what to do. Its exit status is that of the worst finding.
import type { Command } from "commander";
import type { Severity } from "../doctor/check.js";
import { type Diagnosis, diagnose } from "../doctor/doctor.js";
import { gatherFacts } from "../doctor/host-facts.js";
import { type Paint, paintFor } from "./output.js";
import { socketOption } from "./status.js";

/** 1 and 2 are those of every command: it failed, it was called wrongly. */
const EXIT_STATUS: Readonly<Record<Severity, number>> = { note: 0, warning: 3, problem: 4 };

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("look for what keeps packets from flowing, and say what to do about it")
    .option("--json", "print the findings as JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExit status: 0 nothing to do, 3 warnings, 4 problems.")
    .action(async ({ json, socket }: { readonly json?: boolean; readonly socket: string }) => {
      const diagnosis = await diagnose(await gatherFacts(socket));
      const paint = paintFor(process.stdout, process.env);
      process.stdout.write(
        json === true ? `${JSON.stringify(diagnosis, null, 2)}\n` : renderDiagnosis(diagnosis, paint),
      );
      if (diagnosis.worst !== null) process.exitCode = EXIT_STATUS[diagnosis.worst];
    });
}

function renderDiagnosis({ findings, notChecked, checks }: Diagnosis, paint: Paint): string {
  const colours = { problem: paint.red, warning: paint.yellow, note: paint.dim } as const;
  const found = findings.map(({ severity, what, cure, check }) => {
    return `${colours[severity](severity)} ${what} ${paint.dim(`(${check})`)}\n  ${paint.bold("→")} ${cure}\n`;
  });
  const skipped = notChecked.map(({ check, reason }) => paint.dim(`not checked: ${check}, since ${reason}\n`));
  const asked = checks - notChecked.length;
  const sum = findings.length === 0 ? paint.green("nothing found") : `${findings.length} found`;
  return `${[...found, ...(found.length > 0 ? [""] : [])].join("\n")}${skipped.join("")}${asked} checks, ${sum}\n`;
}
