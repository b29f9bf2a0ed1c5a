/** What is wrong with a server's TLS and what to do, by Node's code. */
const PROBLEMS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'its certificate is self-signed; add it as caFile to the registry, or to NODE_EXTRA_CA_CERTS',
  SELF_SIGNED_CERT_IN_CHAIN:
    'its certificate is signed by an unknown CA; add the CA as caFile to the registry, ' +
    'or to NODE_EXTRA_CA_CERTS',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its CA is unknown, or it does not send its intermediate certificates',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its CA is unknown, or it does not send its intermediate certificates',
  CERT_HAS_EXPIRED: 'its certificate has expired; renew it, and check the clock of this machine',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; check the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names; use a name it is for',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS on this port; use http://',
  EPROTO: 'the TLS handshake failed; is it a plain HTTP port?',
};

/** What is wrong with a server's TLS and what to do; null when `code` is not about TLS. */
export function tlsProblem(code: string): string | null {
  if (Object.hasOwn(PROBLEMS, code)) return PROBLEMS[code]!;
  return /^(ERR_SSL_|ERR_TLS_|CERT_)/.test(code) ? `the TLS handshake failed (${code})` : null;
}
