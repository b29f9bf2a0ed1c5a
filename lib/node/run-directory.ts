import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Who runs a node or looks for one. */
export interface User {
  uid: number;
  env: NodeJS.ProcessEnv;
}

export function thisUser(): User {
  return { uid: process.getuid?.() ?? 0, env: process.env };
}

/**
 * Folders for the sockets of this user's nodes, the preferred one first: what systemd made for the
 * service, the user's own, the system's, and one under the folder for temporary files.
 */
function runDirectories({ uid, env }: User): string[] {
  const [service = ''] = (env['RUNTIME_DIRECTORY'] ?? '').split(':');
  const own = env['XDG_RUNTIME_DIR'] ?? '';
  return [
    ...(service === '' ? [] : [service]),
    ...(own === '' ? [] : [join(own, 'shoal')]),
    ...(uid === 0 ? ['/run/shoal'] : []),
    join(tmpdir(), `shoal-${uid}`),
  ];
}

/**
 * The first of the folders that this user owns and no other user can enter; made when it is
 * missing. Throws why the last one cannot be used.
 */
export function makeRunDirectory(user: User): string {
  let reason = new Error('no folder');
  for (const directory of runDirectories(user)) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const { uid, mode } = lstatSync(directory);
      // A folder that another user made under /tmp may be exchanged by that user.
      if (uid === user.uid && (mode & 0o077) === 0) return directory;
      reason = new Error(`${directory} belongs to another user, or others can enter it`);
    } catch (error) {
      reason = error as Error;
    }
  }
  throw reason;
}

/** The socket of the node with this name; `:` would be taken for a port by some programs. */
export function socketIn(directory: string, node: string): string {
  return join(directory, `${node.replace(/[^0-9A-Za-z.-]+/g, '_')}.sock`);
}

/**
 * The sockets of running nodes that this user may find, each once. A socket on which nothing
 * listens is of a node that was killed: it is removed, so that it does not count as a node.
 */
export async function findSockets(user: User): Promise<string[]> {
  // Root finds the services', too.
  const directories = new Set([...runDirectories(user), '/run/shoal']);
  const sockets = [...directories].flatMap((directory) => {
    try {
      return readdirSync(directory)
        .filter((name) => name.endsWith('.sock'))
        .toSorted()
        .map((name) => join(directory, name));
    } catch {
      return []; // no node ran there, or another user's
    }
  });
  const listening = await Promise.all(sockets.map(isListening));
  for (const [at, path] of sockets.entries()) if (!listening[at]) rmSync(path, { force: true });
  return sockets.filter((_, at) => listening[at]);
}

/** False only if the kernel says that nothing listens: a busy node counts as running. */
function isListening(path: string): Promise<boolean> {
  return new Promise((give) => {
    const connection = connect(path);
    const say = (is: boolean): void => {
      connection.destroy();
      give(is);
    };
    connection.once('connect', () => say(true));
    connection.once('error', ({ code }: NodeJS.ErrnoException) => say(code !== 'ECONNREFUSED'));
  });
}
