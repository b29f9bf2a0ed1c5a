#!/usr/bin/env node
/*
 * The program's entry. First of all it is seen to that what is loaded from here on is compiled, and
 * stripped of its types, once per version and not once per start; worker threads have it from the
 * environment. JavaScript: for a single file of TypeScript Node would load its compiler, 20 MB and
 * 40 ms.
 */
import { enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

process.env['NODE_COMPILE_CACHE'] ||= join(tmpdir(), `shoal-${process.getuid?.() ?? 0}`);
await import('./type-cache.js');
const cache = process.env['NODE_COMPILE_CACHE'];
if (cache !== undefined) enableCompileCache(cache);

const { runProgram } = await import('./commands/program.ts');
process.exit(await runProgram(process.argv.slice(2)));
