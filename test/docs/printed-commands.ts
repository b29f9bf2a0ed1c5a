/** What a page asks its reader to type. */
export interface PrintedCommand {
  /** As printed. */
  text: string;
  /** The first block of YAML values that comes after it; null without one. */
  values: string | null;
}

/** Programs that our pages name in commands. A span of code that begins so is a command. */
const PROGRAMS =
  'apt|apt-get|cosign|crictl|ctr|curl|docker|dpkg|echo|git|helm|journalctl|kill|kind|kubectl|' +
  'mkdir|modprobe|nerdctl|node|npm|npx|openssl|podman(?:-compose)?|restorecon|rpm|scp|sha256sum|' +
  'shoal|skopeo|ssh|sudo|sysctl|systemctl|systemd-analyze|tar|deploy/[a-z-]+\\.sh';
const COMMAND = new RegExp(`^(?:[A-Z_]+=\\S+ )*(?:${PROGRAMS}) `);

/**
 * The commands of a page in their order: the lines of its `sh` blocks, without comments and split
 * at `&&`, and the commands in its text.
 */
export function printedCommands(text: string): PrintedCommand[] {
  const found: PrintedCommand[] = [];
  for (const match of text.matchAll(/^```(\w*)\n([\s\S]*?)^```$|`([^`\n]+)`/gm)) {
    const [whole, language, block = '', span] = match;
    const texts =
      span !== undefined
        ? [span].filter((one) => COMMAND.test(one))
        : language === 'sh'
          ? commandsOf(block)
          : [];
    const rest = text.slice(match.index + whole.length);
    const values = /^```yaml\n([\s\S]*?)^```$/m.exec(rest)?.[1] ?? null;
    found.push(...texts.map((one) => ({ text: one, values })));
  }
  return found;
}

/** The names of our own commands in a page's text, such as `shoal containerd status`. */
export function namedCommands(text: string): string[] {
  return [...text.matchAll(/`(shoal(?: [a-z]+)+)`/g)].map(([, name]) => name!);
}

/** Languages of blocks; only `sh` holds commands. */
const LANGUAGES = new Set(['sh', 'yaml', 'text', 'json', 'toml']);

/**
 * Blocks whose commands would not be found, by their first lines: indented, of another language, or
 * commands in a block that is not `sh`.
 */
export function blocksNotRead(text: string): string[] {
  return [...text.matchAll(/^([ \t]*)(?:```|~~~)(.*)\n([\s\S]*?)^[ \t]*(?:```|~~~)$/gm)]
    .filter(([, indent, language, block]) => {
      const lines = block!.split('\n').map((line) => line.replace(/^[$#] /, ''));
      const hidden = language !== 'sh' && lines.some((line) => COMMAND.test(line));
      return indent !== '' || !LANGUAGES.has(language!) || hidden;
    })
    .map(([, , , block]) => block!.split('\n')[0]!);
}

function commandsOf(block: string): string[] {
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
    .map((command) => command.trim())
    .filter((command) => command !== '');
}
