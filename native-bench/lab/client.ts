import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Blobs that a client pulls at once, as containerd does. */
const PULL_CONCURRENCY = 3;

export interface ClientPull {
  seconds: number;
  ttfbMaxSeconds: number;
  /** What went wrong, one line each; empty when every digest was right. */
  problems: string[];
}

interface PullRequest {
  /** The server, without a path. */
  url: string;
  /** Null: blobs only. */
  manifestPath: string | null;
  repository: string;
  digests: readonly string[];
  authorization: string;
  /** Query of every request, with `?`, or nothing. */
  query: string;
}

// $0: the server; $1: the repository; $2: the query. AUTH: the header. TIMED: curl's report.
const BLOB = 'curl -sS -f -H "$AUTH" -w "$TIMED" "$0/v2/$1/blobs/$3$2" | sha256sum';

/**
 * Pulls with curl and sha256sum inside a network namespace. `spawned` gets every child process, so
 * that the caller can end it. Never throws.
 */
export async function pullWithCurl(
  namespaceCommand: readonly string[],
  request: PullRequest,
  spawned: (kill: () => void) => void,
): Promise<ClientPull> {
  const { url, manifestPath, repository, digests, query } = request;
  const manifest =
    manifestPath === null
      ? ':'
      : `curl -sS -f -o /dev/null -H "$AUTH" "$0${manifestPath}${query}" || exit 1`;
  const blobs =
    `printf '%s\\n' ${digests.join(' ')} | xargs -P ${PULL_CONCURRENCY} -I{} sh -c ` +
    `'${BLOB}' "$0" "$1" "$2" {}`;
  const [program = 'sh', ...first] = [...namespaceCommand, 'sh', '-c', `${manifest}\n${blobs}`];
  const startMs = performance.now();
  const child = spawn(program, [...first, url, repository, query], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // A process group of its own, to end the pipeline as one.
    env: {
      ...process.env,
      AUTH: `authorization: ${request.authorization}`,
      TIMED: '%{stderr}ttfb %{time_starttransfer}\n',
    },
  });
  spawned(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  });
  let [sums, words] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (sums += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (words += bytes.toString()));
  await once(child, 'close');
  const seconds = (performance.now() - startMs) / 1000;
  const got = new Set(sums.split('\n').map((line) => line.split(' ')[0]));
  const lines = words.split('\n').filter((line) => line !== '');
  const times = lines.filter((line) => line.startsWith('ttfb ')).map((line) => +line.slice(5));
  return {
    seconds,
    ttfbMaxSeconds: Math.max(0, ...times),
    problems: [
      ...lines.filter((line) => !line.startsWith('ttfb ')),
      ...digests
        .filter((digest) => !got.has(digest.replace('sha256:', '')))
        .map((digest) => `${digest} did not arrive whole`),
    ],
  };
}
