import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../lib/commands/program.ts';
import { ApiServer } from '../kube/api-server.ts';
import { kubeAssets } from '../kube/assets.ts';
import { ControllerManager } from '../kube/controller-manager.ts';
import { needs } from '../programs.ts';
import {
  ENDLESS,
  EXPECTED,
  FEWER,
  NOT_RUN,
  RUN_WITH_COMPOSE,
  RUN_WITH_IMAGE,
  STAND_INS,
} from './circumstances.ts';
import {
  blocksNotRead,
  namedCommands,
  printedCommands,
  type PrintedCommand,
} from './printed-commands.ts';
import { Reader } from './reader.ts';

/** In the order in which somebody reads them: what one starts, the next may use. */
const PAGES = [
  'README.md',
  'docs/GETTING-STARTED.md',
  'docs/SIZING.md',
  'docs/OPERATIONS.md',
  'docs/RUNTIMES.md',
];
const NODE = 'http://127.0.0.1:65001';
const KUBE_PROGRAMS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'helm',
  'kubectl',
] as const;
const DEADLINE_MS = 120_000;
/** Of a command that needs the cluster. */
const CLUSTER = /\b(?:kubectl|helm)\b|^deploy\/rotate/;

describe('the commands that README.md and guides print', function () {
  this.timeout(DEADLINE_MS);
  let reader: Reader;
  let programs: string[];
  let clusterUp: Promise<void>;
  let api: ApiServer | undefined;
  let manager: ControllerManager | undefined;
  const once = new Set<string>();

  before(async function () {
    needs(
      this,
      'npm',
      'docker-registry',
      'skopeo',
      'unshare',
      'nsenter',
      'ip',
      'containerd',
      'ctr',
      'curl',
      'openssl',
    );
    programs = kubeAssets.needs(this, ...KUBE_PROGRAMS);
    reader = await Reader.start();
    writeFileSync(
      join(reader.directory, 'small-read.sh'),
      `curl -sf -r 0-99 -o small ` +
        `'${NODE}/v2/team/app/blobs/${reader.newLayer}?ns=registry.example'\n`,
    );
    clusterUp = startCluster();
    // A failure is reported by the first test that needs the cluster.
    clusterUp.catch(() => undefined);
  });
  after(async () => {
    await reader?.stop();
    await clusterUp?.catch(() => undefined);
    await manager?.stop();
    await api?.stop();
  });

  async function startCluster(): Promise<void> {
    const [etcd, apiServer, controllers, helm, kubectl] = programs as [
      string,
      string,
      string,
      string,
      string,
    ];
    api = await ApiServer.start(etcd, apiServer);
    // A DaemonSet is rolled out once its controller has seen it.
    manager = ControllerManager.start(controllers, api, ['daemonset-controller']);
    reader.cluster(api.kubeconfig, { helm, kubectl });
  }

  async function runs({ text, values }: PrintedCommand): Promise<void> {
    const expected = EXPECTED.find(({ pattern }) => pattern.test(text));
    const line = [...STAND_INS, ...FEWER].reduce((now, [from, to]) => now.replace(from, to), text);
    assert.doesNotMatch(
      line.replaceAll(/'[^']*'/g, ''),
      /<[a-z]/,
      'a placeholder without a stand-in',
    );
    if (CLUSTER.test(line)) await clusterUp;
    for (const command of expected?.before ?? []) await reader.must(command);
    if (line.includes(' values.yaml'))
      writeFileSync(join(reader.directory, 'values.yaml'), values!);
    const endless = ENDLESS.find(({ pattern }) => pattern.test(text));
    if (endless !== undefined) {
      const stop = await reader.until(line, endless.up);
      if (endless.stays !== true) await stop();
      return;
    }
    const { code, output } = await reader.runs(line);
    assert.equal(code, expected?.code ?? 0, output);
    assert.match(output, expected?.prints ?? /(?:)/);
  }

  for (const page of PAGES)
    describe(page, () => {
      const text = readFileSync(page, 'utf8');
      const commands = printedCommands(text).filter((one) => !once.has(one.text));
      it('has no command in a block that is not read', () =>
        assert.deepEqual(blocksNotRead(text), []));
      it('names commands that exist', async () => {
        for (const name of new Set(namedCommands(text))) {
          let said = '';
          const output = { out: (more: string) => void (said += more), err: () => undefined };
          await runProgram([...name.split(' ').slice(1), '--help'], output);
          assert.ok(said.startsWith(`Usage: ${name} `), name);
        }
      });
      for (const command of commands) {
        if (once.has(command.text)) continue;
        once.add(command.text);
        const reason = NOT_RUN.find(([pattern]) => pattern.test(command.text))?.[1];
        if (reason === undefined) it(command.text, () => runs(command));
        const test = /\stest\/\S+\.ts/.exec(command.text)?.[0];
        if (test !== undefined)
          it(`${command.text} names a test`, () => assert.ok(existsSync(test.trim())));
      }
    });

  it('has commands of the image only in the page that its test reads', () => {
    for (const page of PAGES.filter((one) => one !== 'docs/GETTING-STARTED.md'))
      for (const { text } of printedCommands(readFileSync(page, 'utf8')))
        assert.ok(!RUN_WITH_IMAGE.test(text) && !RUN_WITH_COMPOSE.test(text), `${page}: ${text}`);
  });
  it('has no reason and no expectation for a command that no page prints', () => {
    for (const { pattern } of [
      ...EXPECTED,
      ...ENDLESS,
      ...NOT_RUN.map(([pattern]) => ({ pattern })),
    ])
      assert.ok(
        [...once].some((text) => pattern.test(text)),
        String(pattern),
      );
  });
});
