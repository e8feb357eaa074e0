// Completion scripts for bash, zsh and fish, from the table of commands. Pure; write-manual.ts puts them into files. In each
// shell the words before the cursor lead to a command, and that command's own words are offered.
import { commandsIn, type ManualCommand, type ManualOption } from "./command-table.js";

/** Bash: files where no word of ours fits, so that paths complete. */
export function bashCompletion(program: ManualCommand): string {
  const name = program.path;
  const commands = commandsIn(program);
  const options = commands.flatMap((command) => command.options.map((option) => ({ option, path: command.path })));
  const choosing = options
    .filter(({ option }) => option.choices.length > 0)
    .map(({ option, path }) => `    ${patterns(path, option)}) words=${quoted(option.choices.join(" "))} ;;`);
  const free = options
    .filter(({ option }) => option.takesValue && option.choices.length === 0)
    .map(({ option, path }) => patterns(path, option));
  const lists = commands.map(({ path, ...own }) => `      ${quoted(path)}) words=${quoted(wordsOf(own).join(" "))} ;;`);
  return `# Generated from the table of commands. Offers the commands and options of ${name}.
_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path=${name} words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
${commandPatterns(program)}
    esac
  done
  case "$path $prev" in
${[...choosing, ...(free.length === 0 ? [] : [`    ${free.join(" | ")}) ;;`])].join("\n")}
    *)
      case $path in
${lists.join("\n")}
      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o bashdefault -o default -F _${name} ${name}
`;
}

function commandPatterns(program: ManualCommand): string {
  const below = commandsIn(program).slice(1);
  if (below.length === 0) return "      *) ;;";
  return `      ${below.map(({ path }) => quoted(path)).join(" | ")}) path="$path \${COMP_WORDS[i]}" ;;`;
}

function patterns(path: string, { names }: ManualOption): string {
  return names.map((name) => quoted(`${path} ${name}`)).join(" | ");
}

function wordsOf({ commands, options }: Pick<ManualCommand, "commands" | "options">): string[] {
  return [...commands.map(lastWord), ...options.flatMap(({ names }) => names)];
}

/** Zsh: a function for each command, descriptions beside the words. */
export function zshCompletion(program: ManualCommand): string {
  const functions = commandsIn(program).map((command) =>
    command.commands.length === 0 ? zshLeaf(command) : zshBranch(command),
  );
  return `#compdef ${program.path}
# Generated from the table of commands.
${functions.join("\n")}
${zshFunction(program)} "$@"
`;
}

function zshLeaf(command: ManualCommand): string {
  const words = [...command.options.map(zshOption), "'*:file:_files'"];
  return `${zshFunction(command)}() {
  _arguments ${words.join(" \\\n    ")}
}`;
}

function zshBranch(command: ManualCommand): string {
  const lines = command.commands.map((one) => `    ${quoted(`${lastWord(one)}:${one.help}`)}`);
  const cases = command.commands.map((one) => `      ${lastWord(one)}) ${zshFunction(one)} ;;`);
  return `${zshFunction(command)}() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands=(
${lines.join("\n")}
  )
  _arguments -C ${[...command.options.map(zshOption), "'1: :->command'", "'*:: :->rest'"].join(" \\\n    ")}
  case $state in
    command) _describe -t commands command commands ;;
    rest) case $words[1] in
${cases.join("\n")}
    esac ;;
  esac
}`;
}

function zshOption({ names, help, takesValue, choices }: ManualOption): string {
  const excluded = names.length === 1 ? "" : quoted(`(${names.join(" ")})`);
  const spelled = names.length === 1 ? (names[0] ?? "") : `{${names.join(",")}}`;
  const action = choices.length === 0 ? "_files" : `(${choices.join(" ")})`;
  const value = takesValue ? `:value:${action}` : "";
  const description = help.replace(/[[\]:\\]/g, "\\$&");
  return `${excluded}${spelled}${quoted(`[${description}]${value}`)}`;
}

function zshFunction({ path }: ManualCommand): string {
  return `_${path.replaceAll(/[ -]/g, "_")}`;
}

/** Fish: descriptions beside the words, files only behind options that take a value and where a command takes arguments. */
export function fishCompletion(program: ManualCommand): string {
  const name = program.path;
  const commands = commandsIn(program);
  const paths = commands.slice(1).map(({ path }) => `        ${quoted(path)}`);
  const known = paths.length === 0 ? "" : ` \\\n${paths.join(" \\\n")}`;
  return `# Generated from the table of commands.
function __${name}_at --description 'whether the words before the cursor lead to this command'
    set -l path ${name}
    for word in (commandline -opc)[2..-1]
        if contains -- "$path $word"${known}
            set path "$path $word"
        end
    end
    test "$path" = "$argv"
end
${commands.flatMap((command) => fishLines(name, command)).join("\n")}
`;
}

function fishLines(name: string, command: ManualCommand): string[] {
  const at = `complete -c ${name} -n ${quoted(`__${name}_at ${command.path}`)}`;
  return [
    ...(command.arguments.length === 0 ? [`${at} -f`] : []),
    ...command.commands.map((one) => `${at} -a ${lastWord(one)} -d ${quoted(one.help)}`),
    ...command.options.map((option) => `${at} ${fishOption(option)}`),
  ];
}

function fishOption({ names, help, takesValue, choices }: ManualOption): string {
  const spelled = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const value = choices.length === 0 ? ["-r", "-F"] : ["-x", "-a", quoted(choices.join(" "))];
  return [...spelled, ...(takesValue ? value : []), "-d", quoted(help)].join(" ");
}

function lastWord({ path }: ManualCommand): string {
  return path.slice(path.lastIndexOf(" ") + 1);
}

/** For bash and zsh a quote inside quotes is `'\''`; fish reads that the same way. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
