#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// First of all, so that whatever is loaded after this line is compiled once per version, not once per start;
// worker threads have it from the environment alone.
const { directory } = enableCompileCache();
if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] ??= directory;

const { runProgram } = await import('./commands/program.ts');
process.exit(await runProgram(process.argv.slice(2)));
