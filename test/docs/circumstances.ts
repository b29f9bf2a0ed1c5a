/*
 * What the commands of our pages need around them, and what is expected of them. A command that is
 * not named here runs as printed and has to end with 0.
 */

/** What stands for a placeholder. A printed `<...>` or capital word that is not here fails. */
export const STAND_INS: readonly [RegExp, string][] = [
  [/acr-credential-<name>-p2p/g, 'acr-credential-app-p2p'],
  [/namespace <name>/g, 'namespace team'],
  [/-n <name>/g, '-n team'],
  [/pod <name>/g, 'pod app'],
  [/<host>|\bHOST\b(?:\.\.\.)?/g, 'registry.example'],
  [/<your p2pHost>/g, 'p2p.registry.example'],
  [/\bP2P_HOST\b/g, 'p2p.registry.example:65001'],
  [/\bREGISTRY\b/g, 'registry.example'],
];

/** Two cores are busy enough with two nodes. */
export const FEWER: readonly [RegExp, string][] = [
  [/^npm start(?: --(?= ))?(?!.*--nodes)/, 'npm start -- --nodes 1'],
  [/--nodes 8/, '--nodes 2'],
  [/--nodes 100 --image 1GB/, '--nodes 10 --image 100MB'],
];

/** What test/deploy/release.test.ts runs, where the image is. */
export const RUN_WITH_IMAGE = /^podman |^skopeo copy .*65001/;
/** What it runs only for a finished release. */
export const RUN_WITH_COMPOSE = /^podman-compose /;

/** Why a command is not run here: where it runs instead, or what it needs. */
export const NOT_RUN: readonly [RegExp, string][] = [
  [/^npm (?:ci|test|run check)$/, '.ci/run runs it'],
  [/^npm run test:fast$/, 'runs folders of `npm test`; test/check/scripts.test.ts has them'],
  [/^(?:SHOAL_LONG=1 )?node test\/run\.ts /, 'is a test'],
  [RUN_WITH_IMAGE, 'test/deploy/release.test.ts runs it'],
  [RUN_WITH_COMPOSE, '`npm run release -- --verify` runs it'],
  [/^skopeo copy \S+ docker-daemon:/, 'needs a Docker engine'],
  [
    /^docker build /,
    'needs Docker Hub; test/deploy/image.test.ts runs the steps of the Dockerfile',
  ],
  [/^kind /, 'needs an image of a node from Docker Hub'],
  [/^kubectl .*(?:port-forward|logs) /, 'needs a kubelet'],
  [/ \.\.\.$/, 'is abbreviated: it says how a figure came about'],
  [
    /^(?:ctr (?:-n k8s\.io )?images (?:import|rm)|docker save|git clone|helm (?:package|upgrade))$/,
    'has no argument: the name of a command in a sentence',
  ],
  [/^shoal init$/, 'the same; the command that follows has its options'],
  [/^systemctl reload (?:docker|shoal-agent)$/, 'needs systemd as the first process'],
  [/^kill -HUP$/, 'has no process; test/e2e/reload.test.ts sends the signal'],
];

/** Commands that run until they are stopped, and what they print when they are up. */
export const ENDLESS: readonly { pattern: RegExp; up: RegExp; stays?: true }[] = [
  { pattern: /^npm start(?!.*--once)/, up: /stop: Ctrl-C/ },
  { pattern: /^shoal containerd watch$/, up: /./ },
  { pattern: /shoal -- agent /, up: /^ready mode=agent /m, stays: true },
];

interface Expected {
  pattern: RegExp;
  /** Commands that make what a reader has by then. */
  before?: readonly string[];
  /** Exit code, if not 0. */
  code?: number;
  prints?: RegExp;
}

const lease = (name: string, holder: string): string =>
  `apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: ${name}
  namespace: shoal
  labels: {shoal/node-report: "true"}
  annotations: {shoal/configured-hosts: registry.example}
spec: {holderIdentity: ${holder}}`;

const EVENT = `apiVersion: v1
kind: Event
metadata: {name: app.1, namespace: default}
involvedObject: {apiVersion: v1, kind: Pod, name: app, namespace: default}
reason: ImageNotAccelerated
message: the image is named by its ID
type: Warning`;

const applied = (yaml: string): string => `printf '%s' '${yaml}' | kubectl apply -f -`;
const UNINSTALL = 'helm uninstall shoal --namespace shoal';

export const EXPECTED: readonly Expected[] = [
  { pattern: /^npm run -s shoal -- status$/, prints: /peers/ },
  {
    pattern: /^skopeo copy --all oci-archive:/,
    before: ['skopeo copy oci:image:test oci-archive:shoal-0.1.0-image.tar:shoal:0.1.0'],
  },
  {
    pattern: /^helm install .* -f /,
    before: [UNINSTALL, 'kubectl -n shoal delete secret shoal-cluster-secret'],
  },
  {
    pattern: /^kubectl apply -f deploy\/manifests\/namespace/,
    before: [UNINSTALL, 'kubectl -n shoal delete secret shoal-cluster-secret'],
  },
  { pattern: /^kubectl label namespace <name> k8s/, before: ['kubectl create namespace team'] },
  {
    pattern: /get leases -l \S+ -o /,
    before: [applied(lease('shoal-node-a', 'node-a'))],
    prints: /^node-a +registry\.example/m,
  },
  { pattern: /get events -A/, before: [applied(EVENT)], prints: /ImageNotAccelerated +pod\/app/ },
  {
    pattern: /get pod <name>/,
    before: [
      'kubectl create serviceaccount default',
      'kubectl run app --image registry.example/team/app:v1',
    ],
    prints: /^registry\.example\/team\/app:v1$/m,
  },
  { pattern: /rotate-secret/, prints: /^rotate-secret: done$/m },
  {
    pattern: /annotate secret shoal-webhook-certificate/,
    before: ['kubectl -n shoal create secret generic shoal-webhook-certificate'],
  },
  { pattern: /^kubectl get pods -A .*grep/, code: 1, prints: /^$/ },
  {
    pattern: /^helm upgrade /,
    before: [
      'kubectl delete --ignore-not-found ' +
        '$(ls deploy/manifests/*.yaml | sed "/namespace/d; s/^/-f /")',
      'helm install shoal deploy/helm/shoal --namespace shoal ' +
        '--set clusterSecret.existingSecret=shoal-cluster-secret',
    ],
  },
  {
    pattern: /delete lease shoal-webhook/,
    before: [applied(lease('shoal-webhook', 'a'))],
    prints: /deleted/,
  },
  {
    pattern: /get secret acr-credential/,
    before: ['kubectl create secret generic acr-credential-app-p2p'],
    prints: /name: acr-credential-app-p2p/,
  },
  {
    pattern: /^shoal preheat registry\.example\/team\/app:v2$/,
    before: ['sh ./small-read.sh'],
  },
  { pattern: /^shoal containerd status$/, prints: /registry\.example/ },
  {
    pattern: /preheat --record/,
    prints: /app\.trace/,
  },
];
