import { createHash, X509Certificate } from 'node:crypto';

/**
 * Signatures with a key pair; with a shared key (HS256) a token would say nothing of who made it.
 */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];

/**
 * Whom a Bearer token stands for, as words that are the same for every token its issuer gives this
 * client for this registry: signing key, issuer, audience, subject. null unless the token is a JWT
 * of docker's token specification that carries its issuer's certificate (`x5c`), has a signature by
 * that key, is valid at `wallMs`, and grants a pull from `repository`.
 *
 * That the key is the issuer's, it does not say: only a registry that accepts a token with it does.
 */
export async function issuedTo(
  authorization: string,
  repository: string,
  wallMs: number,
): Promise<string[] | null> {
  const [, token, header] = /^bearer +(([\w-]+)\.[\w-]+\.[\w-]+)$/i.exec(authorization) ?? [];
  if (token === undefined || header === undefined) return null;
  try {
    const { x5c } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<
      string,
      unknown
    >;
    if (!Array.isArray(x5c) || typeof x5c[0] !== 'string') return null;
    const key = new X509Certificate(Buffer.from(x5c[0], 'base64')).publicKey;
    // Loaded when it is needed: it takes 12 MB, and the tokens of many registries are of another
    // kind.
    const { jwtVerify } = await import('jose');
    const { payload } = await jwtVerify(token, key, {
      algorithms: ALGORITHMS,
      currentDate: new Date(wallMs),
      requiredClaims: ['iss', 'sub', 'aud', 'exp'],
    });
    if (!grantsPull(payload['access'], repository)) return null;
    const fingerprint = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex');
    return [fingerprint, String(payload.iss), JSON.stringify(payload.aud), String(payload.sub)];
  } catch {
    // Whatever is wrong with it, it is no token to go by.
    return null;
  }
}

function grantsPull(access: unknown, repository: string): boolean {
  return (
    Array.isArray(access) &&
    access.some((entry: unknown) => {
      const { type, name, actions } = (entry ?? {}) as Record<string, unknown>;
      return (
        type === 'repository' &&
        name === repository &&
        Array.isArray(actions) &&
        (actions.includes('pull') || actions.includes('*'))
      );
    })
  );
}
