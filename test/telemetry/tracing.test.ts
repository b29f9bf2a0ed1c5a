import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { isTracingOn } from '../../lib/telemetry/tracing.ts';
import { startOrigin, startSwarm, type LiveNode, type Origin } from './live-node.ts';
import { OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';
import { until } from './until.ts';

const BLOB_BYTES = 5 * 2 ** 20;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

describe('tracing', function () {
  this.timeout(60_000);
  let origin: Origin;
  let collector: OtlpReceiver;
  let nodes: LiveNode[] = [];
  before(async () => {
    origin = await startOrigin(BLOB_BYTES);
    collector = await OtlpReceiver.start();
    nodes = await startSwarm(origin, ['DeployConfig.logLevel=warn'], 2, collector.env);
  });
  after(() => {
    for (const node of nodes) node.remove();
    collector.close();
    origin.server.closeAllConnections();
    origin.server.close();
  });

  const byId = (id: string): ReceivedSpan | undefined =>
    collector.spans.find(({ spanId }) => spanId === id);

  /** The names of a span and of those it is part of, the outermost first. */
  function pathOf(span: ReceivedSpan): string[] {
    const parent = byId(span.parentId);
    return [...(parent === undefined ? [] : pathOf(parent)), `${span.node} ${span.name}`];
  }

  it('follows a client over two nodes to the registry, in the trace of the client', async () => {
    const [root, agent, other] = nodes as [LiveNode, LiveNode, LiveNode];
    const headers = { traceparent: `00-${TRACE}-${CALLER}-01` };
    const url = `${agent.proxy}/v2/team/app/blobs/sha256:${origin.digest}`;
    const bytes = await (await fetch(url, { headers })).arrayBuffer();
    assert.equal(bytes.byteLength, BLOB_BYTES);
    const ofTrace = (name: string): ReceivedSpan[] =>
      collector.named(name).filter(({ traceId }) => traceId === TRACE);
    // Each node sends its spans when it likes: those between may come last.
    const areWhole = (): boolean =>
      ofTrace('origin').every((span) => pathOf(span)[0] === `${agent.name} blob`);
    await until(
      () => ofTrace('blob').length === 1 && ofTrace('origin').length >= 3 && areWhole(),
      'the spans',
      20_000,
    );
    const [request] = ofTrace('blob');
    assert.equal(request!.parentId, CALLER, 'the request belongs to what the client does');
    assert.equal(request!.kind, 2);
    assert.equal(request!.attributes['shoal.bytes'], BLOB_BYTES);
    const paths = ofTrace('origin').map((span) =>
      // A node that was busy at first is asked again.
      pathOf(span).join(' > ').replaceAll(' tracker', ' peer'),
    );
    // A shard is owned by either of the agents.
    const direct = [
      `${agent.name} blob`,
      `${agent.name} shard`,
      `${agent.name} peer`,
      `${root.name} shard for a node`,
      `${root.name} shard`,
      `${root.name} origin`,
    ].join(' > ');
    const byOwner = [
      `${agent.name} blob`,
      `${agent.name} shard`,
      `${agent.name} peer`,
      `${other.name} shard for a node`,
      `${other.name} shard`,
      `${other.name} peer`,
      `${root.name} shard for a node`,
      `${root.name} shard`,
      `${root.name} origin`,
    ].join(' > ');
    for (const path of paths) assert.ok([direct, byOwner].includes(path), paths.join('\n'));
    const [check] = ofTrace('access check');
    assert.deepEqual(pathOf(check!), [`${agent.name} blob`, `${agent.name} access check`]);
    assert.ok(
      origin.seen.every((seen) => String(seen.headers['traceparent']).includes(TRACE)),
      'the registry gets the trace, too',
    );
  });

  it('follows a preheat call to the node that it is for', async () => {
    const [, agent, other] = nodes as [LiveNode, LiveNode, LiveNode];
    const trace = TRACE.replace('4', '5');
    const headers = { traceparent: `00-${trace}-${CALLER}-01` };
    const node = other.name;
    const url = `${agent.proxy}/shoal/preheat/${node}/v2/team/app/blobs/sha256:${origin.digest}`;
    assert.equal((await fetch(url, { headers })).status, 200);
    const asked = (): ReceivedSpan | undefined =>
      collector.named('fetch for a node').find(({ traceId }) => traceId === trace);
    const preheat = (): ReceivedSpan | undefined =>
      collector.named('preheat').find(({ traceId }) => traceId === trace);
    await until(() => asked() !== undefined && preheat() !== undefined, 'the spans', 20_000);
    assert.deepEqual(pathOf(asked()!), [
      `${agent.name} preheat`,
      `${agent.name} fetch`,
      `${node} fetch for a node`,
    ]);
    assert.equal(preheat()!.parentId, CALLER);
  });

  it('begins a trace for a client that has none, and says why a request failed', async () => {
    const [, agent] = nodes as [LiveNode, LiveNode];
    const url = `${agent.proxy}/v2/missing/app/blobs/sha256:${'0'.repeat(64)}`;
    assert.equal((await fetch(url)).status, 404);
    const failed = (): ReceivedSpan | undefined =>
      collector.named('blob').find(({ error }) => error !== null);
    await until(() => failed() !== undefined, 'the span', 20_000);
    assert.notEqual(failed()!.traceId, TRACE);
    assert.equal(failed()!.attributes['error.type'], 'ORIGIN_REFUSED');
    assert.match(failed()!.error!, /404/);
  });

  it('exports what is left when a node stops', async () => {
    const [, agent] = nodes as [LiveNode, LiveNode];
    const before = collector.named('other').length + collector.named('ping').length;
    await (await fetch(`${agent.proxy}/v2/`)).arrayBuffer();
    await agent.stop();
    assert.ok(collector.named('other').length + collector.named('ping').length > before);
  });
});

describe('tracing that is off', () => {
  it('is on only by the standard variables', () => {
    const endpoint = 'http://collector:4318';
    for (const [env, isOn] of [
      [{}, false],
      [{ OTEL_SERVICE_NAME: 'shoal' }, false],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, true],
      [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint }, true],
      [{ OTEL_TRACES_EXPORTER: 'otlp' }, true],
      [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, false],
      [{ OTEL_TRACES_EXPORTER: 'console' }, false],
      [{ OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, false],
    ] as const)
      assert.equal(isTracingOn(env), isOn, JSON.stringify(env));
  });

  it('imports OpenTelemetry in one file, and that file only dynamically', () => {
    const importing = (what: RegExp): string[] =>
      globSync('lib/**/*.ts').filter((file) => what.test(readFileSync(file, 'utf8')));
    assert.deepEqual(importing(/@opentelemetry\//), ['lib/telemetry/open-telemetry.ts']);
    assert.deepEqual(importing(/from '[^']*open-telemetry\.ts'/), []);
    assert.deepEqual(importing(/import\('\.\/open-telemetry\.ts'\)/), ['lib/telemetry/tracing.ts']);
  });
});
