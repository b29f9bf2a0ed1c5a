/** What a page asks its reader to type. */
export interface PrintedCommand {
  /** As printed. */
  text: string;
  /** The first block of YAML values that comes after it; null without one. */
  values: string | null;
}

/** Programs that our pages name in commands. A span of code that begins so is a command. */
const PROGRAMS =
  'apt|apt-get|cosign|crictl|ctr|curl|docker|dpkg|echo|git|helm|kill|kind|kubectl|nerdctl|node|' +
  'npm|npx|openssl|podman(?:-compose)?|rpm|sha256sum|shoal|skopeo|' +
  'sudo|systemctl|tar|deploy/[a-z-]+\\.sh';
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
        ? [span].filter((one) => COMMAND.test(one) && !isName(one))
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

/** Blocks that do not say what they hold, and so could hide commands: their first lines. */
export function unnamedBlocks(text: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*)\n[\s\S]*?^```$/gm)]
    .filter(([, language]) => language === '')
    .map(([, , first]) => first!);
}

/** Whether a span only names a command (`helm upgrade`): it has no argument. */
function isName(span: string): boolean {
  return !span
    .split(' ')
    .slice(1)
    .some((word) => /[^a-z]/.test(word));
}

function commandsOf(block: string): string[] {
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
    .map((command) => command.trim())
    .filter((command) => command !== '');
}
