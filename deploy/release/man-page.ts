import type { Command } from 'commander';
import { VERSION } from '../../lib/version.ts';

/** shoal(1) in roff, from the declarations of the commands. `date` is in seconds since 1970. */
export function manPage(program: Command, date: number): string {
  const day = new Date(date * 1000).toISOString().slice(0, 10);
  return [
    `.TH SHOAL 1 "${day}" "Shoal ${VERSION}" "User Commands"`,
    '.SH NAME',
    'shoal \\- peer-to-peer distribution of container images',
    '.SH SYNOPSIS',
    '.B shoal',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    roff(program.description()),
    '.SH COMMANDS',
    ...commandsOf(program, 'shoal'),
    '.SH EXIT STATUS',
    ...entry('0', 'done'),
    ...entry('1', 'failed'),
    ...entry('2', 'misuse: an unknown command or option, or a config that is not allowed'),
    '.SH FILES',
    ...entry('/etc/shoal/agent.yaml, /etc/shoal/root.yaml', 'configuration, written by shoal init'),
    ...entry('/etc/shoal/secret', 'the secret that all nodes of a swarm share'),
    ...entry('/var/lib/shoal', 'cache, logs and certificates'),
    '',
  ].join('\n');
}

function commandsOf(command: Command, path: string): string[] {
  const help = command.createHelp();
  return help.visibleCommands(command).flatMap((child) => {
    if (child.name() === 'help') return [];
    const name = `${path} ${child.name()}`;
    const usage = child.usage() === '' ? '' : ` ${child.usage()}`;
    const options = help
      .visibleOptions(child)
      .filter((option) => option.long !== '--help')
      .flatMap((option) => ['.RS', ...entry(option.flags, help.optionDescription(option)), '.RE']);
    return [
      '.TP',
      `.B ${roff(name + usage)}`,
      roff(child.description()),
      ...options,
      ...commandsOf(child, name),
    ];
  });
}

function entry(term: string, text: string): string[] {
  return ['.TP', `.B ${roff(term)}`, roff(text)];
}

/** Escapes what roff would read as a request or an escape. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');
}
