/** What is wrong with a server's TLS, and the next step. */
interface TlsProblem {
  cause: string;
  fix: string;
}

const TRUST = 'add its CA as caFile to the registry, or to NODE_EXTRA_CA_CERTS';
const UNKNOWN_CA: TlsProblem = {
  cause: 'its CA is unknown, or it does not send its intermediate certificates',
  fix: TRUST,
};
const PLAIN: TlsProblem = {
  cause: 'it does not speak TLS on this port',
  fix: 'write http:// instead of https://, or use its TLS port',
};
const CLOCK = 'set the clock of this machine (`timedatectl`)';

/** By Node's code. */
const PROBLEMS: Readonly<Record<string, TlsProblem>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: {
    cause: 'its certificate is self-signed',
    fix: 'add it as caFile to the registry, or to NODE_EXTRA_CA_CERTS',
  },
  SELF_SIGNED_CERT_IN_CHAIN: { cause: 'its certificate is signed by an unknown CA', fix: TRUST },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  CERT_HAS_EXPIRED: { cause: 'its certificate has expired', fix: `renew it, or ${CLOCK}` },
  CERT_NOT_YET_VALID: { cause: 'its certificate is not valid yet', fix: CLOCK },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    cause: 'its certificate is for other names',
    fix: 'use a name that it is for (`openssl x509 -ext subjectAltName`), or renew it',
  },
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAIN,
  EPROTO: PLAIN,
};

/** null when `code` is not about TLS. */
export function tlsProblem(code: string): TlsProblem | null {
  if (Object.hasOwn(PROBLEMS, code)) return PROBLEMS[code]!;
  return /^(ERR_SSL_|ERR_TLS_|CERT_)/.test(code)
    ? {
        cause: `the TLS handshake failed (${code})`,
        fix: 'compare with `openssl s_client -connect HOST:PORT`',
      }
    : null;
}
