import assert from 'node:assert/strict';
import { kubeAssets } from '../kube/assets.ts';
import { template } from './chart.ts';

/** Values, and for each refusal the parts of its line: what is refused, and what to do. */
const REFUSED: [title: string, values: string, lines: string[][]][] = [
  [
    'wrong types, numbers, words and unknown keys',
    `
p2p: {v2: {cache: {capacity: lots, aioEnable: 2}, throttleLimitMB: -1, p2pPort: 70000, p2pport: 1}}
root: {throttleLimitMB: 2000000}
registries:
  - {host: a.example, mode: other}
  - {host: a.example, upstreams: ["https://m", "https://m"]}
  - {host: a.example, caFile: /etc/ca.crt}
  - {host: a.example, headers: {a: 1}}
  - {host: a.example, insecureSkipVerify: "yes"}
  - null
webhook: {replicas: 0, secretCopies: some}
networkPolicy: {apiServerPorts: []}
unknown: 1
`,
    [
      ["'/p2p/v2/cache/capacity': got string, want integer"],
      ["'/p2p/v2/cache/aioEnable': value must be one of 0, 1"],
      ["'/p2p/v2/throttleLimitMB': minimum"],
      ["'/p2p/v2/p2pPort': maximum"],
      ["'/p2p/v2': additional properties 'p2pport' not allowed"],
      ["'/root/throttleLimitMB': maximum"],
      ["'/registries/0/mode': value must be one of 'rewrite', 'mirror'"],
      ["'/registries/1/upstreams': items at 0 and 1 are equal"],
      ["'/registries/2': additional properties 'caFile' not allowed"],
      ["'/registries/3/headers/a': got number, want string"],
      ["'/registries/4/insecureSkipVerify': got string, want boolean"],
      ["'/registries/5': got null, want object"],
      ["'/webhook/replicas': minimum"],
      ["'/webhook/secretCopies': value must be one of 'all', 'labelled'"],
      ["'/networkPolicy/apiServerPorts': minItems"],
      ["'': additional properties 'unknown' not allowed"],
    ],
  ],
  [
    'keys without a value',
    `
p2p: {v2: {p2pPort: null, cache: {memory: null}}}
agent: {hostNetwork: null, nodeSelector: null}
containerd: {certsDir: null}
registries: null
webhook: null
root: {cache: null}
`,
    [
      'p2p.v2.p2pPort',
      'p2p.v2.cache.memory',
      'agent.hostNetwork',
      'agent.nodeSelector',
      'containerd.certsDir',
      'registries',
      'webhook',
      'root.cache',
    ].map((key) => [`${key} has no value; remove the key from your values to get the default`]),
  ],
  ['the whole of p2p', 'p2p: null', [['p2p has no value']]],
  [
    'texts of another form',
    `
global: {imageRegistry: "https://a"}
p2p: {v2: {image: "https://a.example/shoal", imageTag: "sha256:0123", allow: ["https://a", b/x, ""],
  cache: {hostPath: data}}}
registries:
  - {host: "https://a.example"}
  - {host: b/c}
  - {host: "a.example:99999"}
  - {host: a, p2pHost: no.port}
  - {host: a, p2pHost: "https://p:1"}
  - {host: a, upstream: b}
  - {host: a, upstream: "https://b/v2", upstreams: [b]}
  - {host: a, ca: {secret: "B C"}, clientCertSecret: "B C", credentialsSecret: ""}
  - {host: a, proxy: "proxy:3128", headers: {"a b": c, d: "ü"}, storage: ["s3://b"]}
agent: {maxUnavailable: "0%"}
webhook: {excludedNamespaces: ["A B"], secretNamespaces: ["a.b"], credentialProviderImages: ["a b"]}
serviceMonitor: {interval: often}
clusterSecret: {existingSecret: A_B}
startupTaint: {key: "a key"}
containerd: {certsDir: certs.d, configFile: config.toml,
  hosts: [docker.io, "*.cr.aliyuncs.com", "https://docker.io", docker.io/a, "", a..b, "a:0"]}
`,
    [
      ['global.imageRegistry is "https://a"; it must be a host', 'without a scheme'],
      ['p2p.v2.image is "https://a.example/shoal"', 'without scheme and tag'],
      ['p2p.v2.imageTag is "sha256:0123"', 'a digest belongs behind p2p.v2.image'],
      ['p2p.v2.allow[0] is "https://a"', 'without scheme and path'],
      ['p2p.v2.allow[1] is "b/x"', 'without scheme and path'],
      ['p2p.v2.allow[2] is ""', 'without scheme and path'],
      ['p2p.v2.cache.hostPath is "data"', 'absolute path'],
      ['registries[0].host is "https://a.example"', 'without scheme and path'],
      ['registries[1].host is "b/c"', 'without scheme and path'],
      ['registries[2].host is "a.example:99999"', 'with its port'],
      ['registries[3].p2pHost is "no.port"', 'with its port'],
      ['registries[4].p2pHost is "https://p:1"', 'without a scheme'],
      ['registries[5].upstream is "b"', 'with its scheme'],
      ['registries[6].upstream is "https://b/v2"', 'without path'],
      ['registries[6].upstreams[0] is "b"', 'with its scheme'],
      ['registries[7].ca.secret is "B C"', 'lower-case letters'],
      ['registries[7].clientCertSecret is "B C"', 'lower-case letters'],
      ['registries[7].credentialsSecret is ""', 'lower-case letters'],
      ['registries[8].proxy is "proxy:3128"', 'with its scheme'],
      ['a key of registries[8].headers is "a b"', 'without spaces'],
      ['registries[8].headers.d is "ü"', 'ASCII'],
      ['registries[8].storage[0] is "s3://b"', 'without scheme'],
      ['agent.maxUnavailable is "0%"', 'from 1% to 100%'],
      ['webhook.excludedNamespaces[0] is "A B"', 'name of a namespace'],
      ['webhook.secretNamespaces[0] is "a.b"', 'name of a namespace'],
      ['webhook.credentialProviderImages[0] is "a b"', 'matchImages'],
      ['serviceMonitor.interval is "often"', 'as in 30s'],
      ['clusterSecret.existingSecret is "A_B"', 'name of a Secret'],
      ['startupTaint.key is "a key"', 'without value and effect'],
      ['containerd.certsDir is "certs.d"', 'absolute path'],
      ['containerd.configFile is "config.toml"', 'absolute path'],
      ...['*.cr.aliyuncs.com', 'https://docker.io', 'docker.io/a', '', 'a..b', 'a:0'].map(
        (host, at) => [
          `containerd.hosts[${at + 1}] is "${host}"`,
          'without scheme, path and stars',
        ],
      ),
    ],
  ],
  ...['a.example/shoal:v1', 'shoal:v1', 'a/Shoal'].map((image): [string, string, string[][]] => [
    `the image ${image}`,
    `p2p: {v2: {image: "${image}"}}`,
    [[`p2p.v2.image is "${image}"`, 'lower case', 'p2p.v2.imageTag']],
  ]),
  ...['{}', '{secret: a, configMap: b}'].map((ca): [string, string, string[][]] => [
    `ca: ${ca}`,
    `registries: [{host: a, ca: ${ca}}]`,
    [['ca of a must name a secret or a configMap']],
  ]),
];

describe('what the chart says about values that it refuses', () => {
  let helm: string;
  before(function () {
    [helm = ''] = kubeAssets.needs(this, 'helm');
  });

  for (const [title, values, expected] of REFUSED)
    it(title, () => {
      const { status, stderr } = template(helm, values);
      assert.notEqual(status, 0);
      const lines = stderr.split('\n');
      for (const parts of expected)
        assert.ok(
          lines.some((line) => parts.every((part) => line.includes(part))),
          `${parts.join(' ... ')}\n\n${stderr}`,
        );
      const said = lines.filter((line) =>
        /^ *- at .*: (?!validation failed)|has no value| is ".*; it must |ca of /.test(line),
      );
      assert.equal(said.length, expected.length, stderr);
      assert.doesNotMatch(stderr, /pattern|missing property|propertyName|Properties/);
    });
});
