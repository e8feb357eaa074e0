// Compiles native/bpf/accelerator.bpf.c and writes its instructions to native/bpf/programs.inc, which is checked in: `npm run build:bpf`.
// With --check it only says whether that file is what this compiler makes. Only who changes the programs needs clang.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../native/bpf");
const output = join(folder, "programs.inc");
const PROGRAMS = [
  ["tc/out", "kOutProgram"],
  ["tc/in", "kInProgram"],
  ["tc/merged", "kMergedProgram"],
  ["tc/door_in", "kInDoor"],
  ["tc/door_out", "kOutDoor"],
  ["tc/door_merged", "kMergedDoor"],
];
const SECTION_HEADER_BYTES = 64;
const SYMBOL_BYTES = 24;
const RELOCATION_BYTES = 16;
const MAP_RELOCATION = 1; // R_BPF_64_64

/** The version that made the file: another one may choose other instructions, as right as these. */
const compiler = execFileSync("clang", ["-dumpversion"], { encoding: "utf8" }).trim();
const made = render(compile());
if (process.argv.includes("--check")) {
  const kept = readFileSync(output, "utf8");
  const keptCompiler = /clang (\S+)\. Not/.exec(kept)?.[1];
  if (keptCompiler !== compiler) {
    console.log(`not compared: made by clang ${keptCompiler}, this is ${compiler}`);
  } else if (kept !== made) {
    console.error("native/bpf/programs.inc is not what accelerator.bpf.c compiles to; run: npm run build:bpf");
    process.exitCode = 1;
  } else {
    console.log("native/bpf/programs.inc is what accelerator.bpf.c compiles to");
  }
} else {
  writeFileSync(output, made);
}

function compile() {
  const work = mkdtempSync(join(tmpdir(), "hopsack-bpf-"));
  try {
    const object = join(work, "accelerator.o");
    const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
    const flags = [
      "-O2",
      "-g0",
      "-target",
      "bpf",
      "-mcpu=v3",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-I",
      `/usr/include/${multiarch}`,
    ];
    execFileSync("clang", [...flags, "-c", join(folder, "accelerator.bpf.c"), "-o", object], { stdio: "inherit" });
    return readFileSync(object);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** An ELF64 object, little endian: each program's instructions, and where a map's descriptor goes. */
function render(elf) {
  const sections = sectionsOf(elf);
  const lines = [
    `// Made by scripts/bpf.mjs (npm run build:bpf) from accelerator.bpf.c, with clang ${compiler}. Not to be edited.`,
  ];
  for (const [section, name] of PROGRAMS) {
    const { bytes, index } = sections.find((each) => each.name === section);
    const words = Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readBigUInt64LE(i * 8));
    lines.push("", `inline constexpr uint64_t ${name}[] = {`);
    for (let i = 0; i < words.length; i += 5) {
      lines.push(
        `    ${words
          .slice(i, i + 5)
          .map((word) => `0x${word.toString(16).padStart(16, "0")}`)
          .join(", ")},`,
      );
    }
    lines.push("};", `inline constexpr MapPlace ${name}Maps[] = {`);
    for (const { instruction, symbol } of relocationsOf(sections, index)) {
      lines.push(`    {${instruction}, AcceleratorMap::${symbol}},`);
    }
    lines.push("};");
  }
  return `${lines.join("\n")}\n`;
}

function sectionsOf(elf) {
  const table = Number(elf.readBigUInt64LE(0x28));
  const count = elf.readUInt16LE(0x3c);
  const headers = Array.from({ length: count }, (_, index) => {
    const at = table + index * SECTION_HEADER_BYTES;
    const start = Number(elf.readBigUInt64LE(at + 24));
    const size = Number(elf.readBigUInt64LE(at + 32));
    const type = elf.readUInt32LE(at + 4);
    return {
      index,
      type,
      nameAt: elf.readUInt32LE(at),
      target: elf.readUInt32LE(at + 44),
      bytes: elf.subarray(start, start + size),
    };
  });
  const names = headers[elf.readUInt16LE(0x3e)].bytes;
  return headers.map((header) => ({ ...header, name: textAt(names, header.nameAt) }));
}

function relocationsOf(sections, target) {
  const SYMBOL_TABLE = 2;
  const RELOCATIONS = 9;
  const symbols = sections.find(({ type }) => type === SYMBOL_TABLE);
  const names = sections.find(({ name }) => name === ".strtab").bytes;
  const relocations = sections.find((each) => each.type === RELOCATIONS && each.target === target);
  const { bytes } = relocations;
  return Array.from({ length: bytes.length / RELOCATION_BYTES }, (_, i) => {
    const at = i * RELOCATION_BYTES;
    if (bytes.readUInt32LE(at + 8) !== MAP_RELOCATION) throw new Error("a relocation that is not to a map");
    const symbol = bytes.readUInt32LE(at + 12);
    return {
      instruction: Number(bytes.readBigUInt64LE(at)) / 8,
      symbol: textAt(names, symbols.bytes.readUInt32LE(symbol * SYMBOL_BYTES)),
    };
  });
}

function textAt(bytes, start) {
  return bytes.toString("latin1", start, bytes.indexOf(0, start));
}
