import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLabOptions, type LabOptions } from './lab/options.ts';
import { runLab } from './lab/run.ts';
import { runShaped, Started } from './lab/shaped.ts';
import { reportText } from './lab/table.ts';

const options = parseLabOptions(process.argv.slice(2));
const dir = mkdtempSync(join(tmpdir(), 'shoal-lab-'));
const started = new Started();
const stopping = new AbortController();
const say = (line: string): void => void process.stderr.write(`${line}\n`);
process.once('exit', () => {
  started.end();
  if (options.keep) say(`logs: ${dir}`);
  else rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.once(signal, () => {
    stopping.abort();
    process.exit(code);
  });
try {
  const report = await run(options);
  console.log(options.json ? JSON.stringify(report) : reportText(report));
  process.exitCode = report.failedPulls > 0 ? 1 : 0;
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (options.json) console.log(JSON.stringify({ ok: false, error: { code: 'LAB', message } }));
  say(`lab: ${message}`);
  process.exitCode = 1;
}
process.exit();

function run({ linkMbit, originLinkMbit, ...rest }: LabOptions) {
  if (linkMbit === null)
    return runLab(options, dir, stopping.signal, (node) => started.add(() => node.kill()), say);
  const shaped = { ...rest, linkMbit, originLinkMbit: originLinkMbit ?? linkMbit };
  return runShaped(shaped, dir, started, say);
}
