import type { ErrorCode } from './errors.ts';

/**
 * What an error code means and what to do about it: for `--json`, the log, error answers and
 * docs/TROUBLESHOOTING.md.
 */
export const errorFixes: Record<ErrorCode, { means: string; fix: string }> = {
  CONFIG_INVALID: {
    means: 'A config key, a value or the file itself is wrong.',
    fix:
      'Correct the key that the message names; docs/CONFIG.md lists every key with what is ' +
      'allowed.',
  },
  USAGE: {
    means: 'A command got a wrong option or argument.',
    fix: 'Run the command with --help.',
  },
  PORT_IN_USE: {
    means: 'A port of the node is taken, or may not be opened.',
    fix:
      'Find the process with `ss -ltnp`, stop it, or set another port under the key that ' +
      'the message names.',
  },
  CACHE_DIR_UNUSABLE: {
    means: 'CacheConfig.dir cannot be created, written or locked.',
    fix:
      'Give the directory to the user of the node, mount it writable, or stop the other ' +
      'node that uses it.',
  },
  LIMIT_TOO_LOW: {
    means: 'The process may not open enough files, or not have enough memory, to run a node.',
    fix:
      'Raise the limit that the message names: `ulimit -Hn` or LimitNOFILE for open files, ' +
      '`ulimit -v` or the memory limit of the container for memory.',
  },
  FILE_UNUSABLE: {
    means: 'A file that a command reads or edits cannot be used.',
    fix: 'Check the path, its owner and its content.',
  },
  HEAD_TOO_LARGE: {
    means: 'The URL and the credential of a request are too long to be passed on to other nodes.',
    fix: 'Use a shorter token or signed URL, or pull from the registry directly.',
  },
  BAD_REQUEST: {
    means: 'The request is not one that this port answers.',
    fix:
      'Check the URL and the port: clients use the proxy port (65001), nodes the p2p port ' +
      '(65002).',
  },
  NAME_INVALID: {
    means: 'The repository name or tag breaks the rules of the OCI specification.',
    fix: 'Correct the image name.',
  },
  DIGEST_INVALID: {
    means: 'The digest in the URL is malformed.',
    fix: 'Use sha256: and 64 hexadecimal digits.',
  },
  PATH_UNKNOWN: {
    means: 'Nothing is served under this path.',
    fix: 'Use /v2/... or /accelerator/<URL> on the proxy port.',
  },
  UPSTREAM_UNKNOWN: {
    means: 'The request does not name its registry, and the node has no default.',
    fix:
      'Add the registry to ProxyConfig.registries, or point the runtime at the node with ' +
      '`shoal containerd configure`.',
  },
  SCHEMA1_UNSUPPORTED: {
    means: 'The image has a Docker schema 1 manifest.',
    fix: 'Push the image again with a current client.',
  },
  CREDENTIAL_WANTED: {
    means: 'The registry wants a credential.',
    fix: 'Log in (`docker login`), or add a pull secret for the registry.',
  },
  METHOD_UNSUPPORTED: {
    means: 'The node serves pulls only.',
    fix: 'Push to the registry itself.',
  },
  HOST_NOT_ALLOWED: {
    means: 'The host is neither a configured registry nor on the allow-list.',
    fix: 'Add it to ProxyConfig.allow, or as `storage` to the entry of its registry.',
  },
  RANGE_NOT_SATISFIABLE: {
    means: 'The range lies outside the blob.',
    fix: 'Nothing; the client asks for a part that does not exist.',
  },
  ORIGIN_REFUSED: {
    means: 'The registry or object storage refused the request.',
    fix:
      'Look at the status in the message: 401 and 403 are credentials or expired URLs, 404 ' +
      'is a wrong name, 429 is its rate limit.',
  },
  ORIGIN_UNREACHABLE: {
    means: 'No connection to the registry or object storage.',
    fix: 'Check DNS, routes, proxy and certificates from this machine: `curl -v https://HOST/v2/`.',
  },
  ORIGIN_TIMEOUT: {
    means: 'The registry or object storage did not answer in time.',
    fix:
      'Check its load and the network; raise ProxyConfig.firstByteTimeout if it is known ' +
      'to be slow.',
  },
  ORIGIN_BROKEN: {
    means: 'The answer of the registry or object storage was cut or malformed.',
    fix: 'Look for a proxy in between; compare with `curl -v` of the same URL.',
  },
  ORIGIN_BUSY: {
    means: 'The registry limits the rate, or this node already has its maximum of requests there.',
    fix: 'Wait; use roots, so that fewer nodes ask the registry.',
  },
  DIGEST_MISMATCH: {
    means: 'The bytes do not have the digest of the blob.',
    fix:
      'Pull from the registry itself: if that fails too, the registry or a proxy in ' +
      'between damages content.',
  },
  PEER_UNREACHABLE: {
    means: 'No connection to another node.',
    fix: 'Check that the node runs and that the network policy lets the port through.',
  },
  PEER_TIMEOUT: {
    means: 'Another node stopped sending.',
    fix: 'Check the load of that node and the network between the two.',
  },
  PEER_BROKEN: {
    means: 'What answers is not a node of this version, or its answer was cut.',
    fix: 'Check the address and that all nodes run compatible versions.',
  },
  PEER_UNAUTHORIZED: {
    means: 'The cluster secrets of two nodes differ, or their clocks are more than a minute apart.',
    fix: 'Compare P2PConfig.secretFile on both (`sha256sum`) and the clocks (`timedatectl`).',
  },
  PEER_VERSION: {
    means: 'Two nodes speak different major versions of the protocol between nodes.',
    fix: 'Finish the upgrade: run releases with the same major protocol version on all nodes.',
  },
  PEER_ADDRESS: {
    means: 'A node was asked under an address that it does not know as its own.',
    fix: 'Use the same address in P2PConfig (peers, roots) and in DeployConfig.node of that node.',
  },
  CHECKSUM_MISMATCH: {
    means: "A shard does not have its owner's checksum.",
    fix: 'Check memory and disk of the node that the log names.',
  },
  OVERLOADED: {
    means: 'The request reached its queue deadline.',
    fix:
      'Raise CacheConfig.memory, proxyConcurrencyLimit or throttleLimitMB, whichever queue ' +
      'is full (`shoal status`).',
  },
  DRAINING: {
    means: 'The node is stopping.',
    fix: 'Ask again, or another node.',
  },
  CANCELLED: {
    means: 'The client closed the connection.',
    fix: 'Nothing.',
  },
  DISK_FAILED: {
    means: 'The cache disk failed; the node serves from memory.',
    fix: 'Check `df` and `dmesg` for CacheConfig.dir.',
  },
  THREAD_LOST: {
    means: 'Threads of the node ended again and again, so that a request could not be served.',
    fix:
      'Look for the reason in the log (out of memory?): `shoal_thread_restarts_total` counts ' +
      'the ends. The request can be tried again.',
  },
  INTERNAL: {
    means: 'A bug in Shoal.',
    fix: 'Report it with the log line.',
  },
};
