import { Command } from 'commander';
import { Siege } from './siege.ts';

/*
 * Real nodes with clients, faults and attackers at once: `npm run siege -- --minutes 30`. Prints
 * what was done and exits with 1 if anything was wrong.
 */
const options = new Command('siege')
  .description('1 root and agents under clients, faults and attackers')
  .option('--minutes <n>', 'length', '10')
  .option('--agents <n>', 'agents', '8')
  .option('--clients <n>', 'clients that pull one blob after another', '20')
  .option('--attackers <n>', 'attackers', '4')
  .parse()
  .opts<Record<'minutes' | 'agents' | 'clients' | 'attackers', string>>();

const report = await new Siege({
  seconds: Number(options.minutes) * 60,
  agents: Number(options.agents),
  clients: Number(options.clients),
  attackers: Number(options.attackers),
}).run();
const { violations, pulls, attacks, residentMB, descriptors } = report;
console.log(
  `${pulls.right} pulls right, ${pulls.refused} refused, ${pulls.broken} broken off, ` +
    `${pulls.aborted} aborted by clients; ${attacks} attacks; ` +
    `${report.gigabytes.toFixed(1)} GB, ${report.originGigabytes.toFixed(1)} GB from the registry`,
);
console.log(
  `slowest pull ${(report.slowestMs / 1_000).toFixed(1)} s; resident memory of the largest node ` +
    `${residentMB.first} MB in the second third, ${residentMB.last} MB in the last, at most ` +
    `${residentMB.most} MB; descriptors ${descriptors.first} before, ${descriptors.last} after`,
);
for (const violation of violations) console.log(`VIOLATION ${violation}`);
process.exitCode = violations.length > 0 ? 1 : 0;
