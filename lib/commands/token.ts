import { readClusterSecret } from '../config/secret.ts';
import { ShoalError } from '../errors.ts';
import { readToken } from '../node/identity.ts';
import { ClusterSecret } from '../wire/secret.ts';

/** The read-only token of the cluster with the secret in `file`. Throws CONFIG_INVALID. */
export function tokenOf(file: string): string {
  const secret = readClusterSecret({ P2PConfig: { secretFile: file } });
  if (secret.kind === 'secret') return readToken(new ClusterSecret(secret.bytes));
  throw new ShoalError(
    'CONFIG_INVALID',
    secret.kind === 'none' ? '--secret-file names no file' : secret.complaint,
  );
}

/** The token that a command sends: of a secret at hand, or of SHOAL_TOKEN; null: none. */
export function tokenFor(secretFile: string | undefined, env: NodeJS.ProcessEnv): string | null {
  return secretFile === undefined ? (env['SHOAL_TOKEN'] ?? null) : tokenOf(secretFile);
}
