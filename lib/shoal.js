#!/usr/bin/env node
/*
 * The entry of the program. It is JavaScript that an old Node can parse, so that a Node too old for
 * the rest gets a message instead of a SyntaxError. The built package (deploy/release/build.ts) has
 * no TypeScript; in a checkout Node strips the types.
 */
const NODE_MIN = [22, 19];

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
  process.stderr.write(
    `shoal: Node.js ${process.versions.node} is too old; Shoal needs ` +
      `${NODE_MIN.join('.')} or later. ` +
      'In a checkout, `npm ci` installs a suitable one and `npm run -s shoal -- ...` uses it.\n',
  );
  process.exit(1);
}

const { runProgram } = await import('./commands/program.ts');
process.exit(await runProgram(process.argv.slice(2)));
