/**
 * The commands of a page's `sh` blocks, in order: without comments, `&&` split. Blocks without a
 * language show output or need a cluster; they are not run.
 */
export function printedCommands(text: string): string[] {
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
    block!
      .split('\n')
      .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
      .map((command) => command.trim())
      .filter((command) => command !== ''),
  );
}
