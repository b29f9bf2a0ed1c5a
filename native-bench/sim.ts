import { leaveOut } from './sim/leave-out.ts';

// A rule is left out before the modules of lib/swarm are loaded, hence the import below.
const at = process.argv.indexOf('--without');
if (at !== -1) leaveOut(process.argv[at + 1] ?? '');
await import('./sim/run.ts');
