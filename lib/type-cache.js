/*
 * Keeps the sources of this program with their types stripped, one file each: Node strips them anew
 * in every thread at every start, and loads for that a compiler of 10 MB in each. JavaScript, since
 * it runs before TypeScript can be had cheaply; the main thread imports it first of all
 * (lib/shoal.js), other threads by `--import` (lib/workers/thread-options.ts).
 *
 * What lies in the cache is run, so the directory is used only when it is this user's own and
 * nobody else may write to it. Without such a directory all goes on as without this file.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

const OWN_SOURCES = new URL('..', import.meta.url).href;
const parent = process.env['NODE_COMPILE_CACHE'];
const dir =
  parent === undefined || ownDir(parent) === null ? null : ownDir(join(parent, 'stripped'));
if (dir === null) delete process.env['NODE_COMPILE_CACHE'];

if (dir !== null) {
  registerHooks({
    load(url, context, next) {
      if (!url.startsWith(OWN_SOURCES) || !url.endsWith('.ts') || url.includes('/node_modules/'))
        return next(url, context);
      return {
        format: 'module',
        source: strippedOf(readFileSync(fileURLToPath(url), 'utf8'), dir),
        shortCircuit: true,
      };
    },
  });
}

/** `path`, made if it is not there; null when it is not safe to run code from. */
function ownDir(path) {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const stat = lstatSync(path);
    return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0
      ? path
      : null;
  } catch {
    return null; // A read-only filesystem, or somebody else's directory.
  }
}

function strippedOf(source, dir) {
  const path = join(dir, createHash('sha256').update(process.version).update(source).digest('hex'));
  try {
    return readFileSync(path, 'utf8');
  } catch {
    const stripped = quietly(() => stripTypeScriptTypes(source));
    try {
      const own = `${path}.${process.pid}.${threadId}`;
      writeFileSync(own, stripped, { mode: 0o600 });
      renameSync(own, path);
    } catch {
      // A full disk: stripped anew next time.
    }
    return stripped;
  }
}

/** The call warns that it is experimental; Node strips types by the same code without a word. */
function quietly(call) {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return call();
  } finally {
    process.emitWarning = emitWarning;
  }
}
