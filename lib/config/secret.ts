import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { systemReason } from '../system-reason.ts';
import { CLUSTER_SECRET_BYTES_MIN } from './limits.ts';
import type { Config } from './schema.ts';

/** The cluster secret, or why there is none. Complaints name only its length. */
export type ClusterSecret =
  | { kind: 'secret'; bytes: Buffer; accepted: Buffer[] }
  | { kind: 'none' }
  | { kind: 'unusable'; complaint: string };

/**
 * Reads `P2PConfig.secretFile` without trailing white space, which editors and `kubectl create
 * secret` add. An unreadable file, or fewer than 16 bytes, is unusable.
 */
export function readClusterSecret(config: {
  P2PConfig: Pick<Config['P2PConfig'], 'secretFile'>;
}): ClusterSecret {
  const file = config.P2PConfig.secretFile;
  if (file === '') return { kind: 'none' };
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    return {
      kind: 'unusable',
      complaint:
        `P2PConfig.secretFile: ${JSON.stringify(file)} is not allowed; allowed: a readable ` +
        `file; this one: ${systemReason(error)}`,
    };
  }
  let end = bytes.length;
  while (end > 0 && [0x20, 0x09, 0x0a, 0x0d].includes(bytes[end - 1]!)) end--;
  const parts = splitSecrets(Buffer.from(bytes.subarray(0, end)));
  if (parts.every(({ length }) => length >= CLUSTER_SECRET_BYTES_MIN)) {
    const [secret, ...accepted] = parts;
    return { kind: 'secret', bytes: secret, accepted };
  }
  return {
    kind: 'unusable',
    complaint:
      `P2PConfig.secretFile: ${JSON.stringify(file)} is not allowed; allowed: a file of at ` +
      `least ${CLUSTER_SECRET_BYTES_MIN} bytes (it holds ` +
      `${Math.min(...parts.map(({ length }) => length))})`,
  };
}

/**
 * What is wrong with the rights of a secret's file; null: others cannot read it. What is mounted
 * read-only is a container's own.
 */
export function secretExposure(file: string): string | null {
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o007) === 0) return null;
  try {
    accessSync(file, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EROFS') return null;
  }
  return `${file} can be read by every user (mode ${mode.toString(8)})`;
}

/** Line that separates the secret in use from one that is accepted, too, while it is replaced. */
export const ALSO_ACCEPTED = '\n# also accepted\n';

function splitSecrets(bytes: Buffer): [Buffer, ...Buffer[]] {
  const at = bytes.indexOf(ALSO_ACCEPTED);
  if (at === -1) return [bytes];
  return [bytes.subarray(0, at), bytes.subarray(at + ALSO_ACCEPTED.length)];
}
