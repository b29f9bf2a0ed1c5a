import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What can follow a command: its subcommands and options, without hidden ones. */
interface Completions {
  /** The words after `shoal`: empty for the program itself, `containerd configure` for a nested. */
  path: string;
  words: { word: string; description: string; takesFile: boolean }[];
}

/** The completion script of `program` for a shell, to be loaded or installed by the user. */
export function completionScript(shell: Shell, program: Command): string {
  const table = completionsOf(program, '');
  return { bash, zsh, fish }[shell](table);
}

function completionsOf(command: Command, path: string): Completions[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command);
  const words = [
    ...children.map((child) => ({
      word: child.name(),
      description: help.subcommandDescription(child),
      takesFile: false,
    })),
    ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
      argChoices.map((word) => ({ word, description, takesFile: false })),
    ),
    ...help.visibleOptions(command).flatMap((option) =>
      option.long == null
        ? []
        : [
            {
              word: option.long,
              description: option.description,
              takesFile: /<(?:file|dir)>/.test(option.flags),
            },
          ],
    ),
  ];
  return [
    { path, words },
    ...children.flatMap((child) => completionsOf(child, `${path} ${child.name()}`.trim())),
  ];
}

/** Follows subcommands along the words typed so far; options and their values are skipped. */
const BASH_PATH = `  local path="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) continue ;; esac
    case " \${path:+$path }$word" in
PATHS
    esac
  done`;

function bash(table: readonly Completions[]): string {
  const paths = table
    .filter(({ path }) => path !== '')
    .map(({ path }) => `      " ${path}") path="${path}" ;;`)
    .join('\n');
  const words = table
    .map(
      ({ path, words: all }) =>
        `    "${path}") words="${all.map(({ word }) => word).join(' ')}" ;;`,
    )
    .join('\n');
  return `# bash completion of shoal; load it with: source <(shoal completion bash)
_shoal() {
${BASH_PATH.replace('PATHS', paths)}
  local words=""
  case "$path" in
${words}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _shoal shoal
`;
}

function zsh(table: readonly Completions[]): string {
  const paths = table
    .filter(({ path }) => path !== '')
    .map(({ path }) => `      "${path}") at="${path}" ;;`)
    .join('\n');
  const words = table
    .map(({ path, words: all }) => {
      const items = all.map(
        ({ word, description }) => `      ${zshQuoted(`${word}:${description}`)}`,
      );
      return `    "${path}") items=(\n${items.join('\n')}\n    ) ;;`;
    })
    .join('\n');
  return `#compdef shoal
# zsh completion of shoal; install it as _shoal in a directory of $fpath
_shoal() {
  local at="" word
  local -a items
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ "$word" == -* ]] && continue
    case "\${at:+$at }$word" in
${paths}
    esac
  done
  case "$at" in
${words}
  esac
  _describe 'shoal' items
  _files
}
if [ "$funcstack[1]" = "_shoal" ]; then _shoal "$@"; else compdef _shoal shoal; fi
`;
}

function zshQuoted(text: string): string {
  const [word = '', ...rest] = text.split(':');
  return `'${`${word}:${rest.join(':')}`.replaceAll("'", "'\\''")}'`;
}

/** Finds the command that is being typed, as BASH_PATH does. */
const FISH_PATH = `function __shoal_at
  set -l at
  for word in (commandline -opc)[2..]
    string match -q -- '-*' $word; and continue
    set -l next (string join ' ' $at $word)
    contains -- $next PATHS; and set at $next
  end
  test "$at" = "$argv"
end`;

function fish(table: readonly Completions[]): string {
  const paths = table.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const lines = table.flatMap(({ path, words }) =>
    words.map(({ word, description, takesFile }) => {
      const what = word.startsWith('--')
        ? `-l ${word.slice(2)}${takesFile ? ' -r' : ''}`
        : `-f -a ${word}`;
      const when = `-n '__shoal_at ${path}'`;
      return `complete -c shoal ${when} ${what} -d '${description.replaceAll("'", "\\'")}'`;
    }),
  );
  return [
    '# fish completion of shoal; load it with: shoal completion fish | source',
    FISH_PATH.replace('PATHS', paths.join(' ')),
    ...lines,
    '',
  ].join('\n');
}
