import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { telemetryFixture } from './fixture.ts';

const golden = readFileSync(new URL('../golden/metrics.prom', import.meta.url), 'utf8');

/** The DADIP2P_ part of an answer: up to the first shoal_ line. */
function dadiPart(metrics: string): string {
  return metrics.slice(0, metrics.indexOf('# HELP shoal_'));
}

function value(metrics: string, start: string): number {
  const line = metrics.split('\n').find((text) => text.startsWith(start));
  assert.ok(line !== undefined, start);
  return Number(line.split('} ')[1]!.split(' ')[0]);
}

describe('telemetry/dadi-metrics', () => {
  it('equals the sample byte for byte on an idle node', async () => {
    const { route } = telemetryFixture();
    const answer = await route('/metrics', '', true);
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4');
    assert.equal(dadiPart(answer.body), golden);
  });

  it('gives throughput, QPS and maximum latency of the last window, and all bytes', async () => {
    const { route, meter, telemetry, clock } = telemetryFixture();
    const labels = (type: string): string =>
      `{node="192.168.69.172:65005",type="${type}",mode="agent"`;
    for (let second = 0; second < 5; second++) {
      meter.record('download', 2_000_000, second === 0 ? 9_000 : 100);
      meter.record('download', 2_000_000, 50);
      clock.advance(1000);
      telemetry.tick();
    }
    let metrics = (await route('/metrics', '', true)).body;
    assert.equal(value(metrics, `DADIP2P_Read_Throughtput${labels('download')}`), 4_000_000);
    assert.equal(value(metrics, `DADIP2P_QPS${labels('download')}`), 2);
    assert.equal(value(metrics, `DADIP2P_MaxLatency${labels('download')}`), 9_000);
    assert.equal(value(metrics, `DADIP2P_Count${labels('download')}`), 20_000_000);
    assert.equal(value(metrics, `DADIP2P_Count${labels('peer')}`), 0);

    clock.advance(1000);
    telemetry.tick();
    metrics = (await route('/metrics', '', true)).body;
    assert.equal(value(metrics, `DADIP2P_Read_Throughtput${labels('download')}`), 3_200_000);
    assert.equal(value(metrics, `DADIP2P_MaxLatency${labels('download')}`), 100);

    for (let second = 0; second < 5; second++) {
      clock.advance(1000);
      telemetry.tick();
    }
    metrics = (await route('/metrics', '', true)).body;
    for (const name of ['Read_Throughtput', 'QPS', 'MaxLatency'])
      assert.equal(value(metrics, `DADIP2P_${name}${labels('download')}`), 0, name);
    assert.equal(value(metrics, `DADIP2P_Count${labels('download')}`), 20_000_000);
  });

  it('is alive only while it serves, and stamps the time of the scrape', async () => {
    const { route, inputs, clock } = telemetryFixture();
    inputs.readiness = { phase: 'draining', problems: [] };
    clock.advance(1500.7);
    const { body } = await route('/metrics', '', true);
    assert.match(
      body,
      /^DADIP2P_Alive\{node="192\.168\.69\.172:65005",mode="agent"\} 0\.000000 1692156723333$/m,
    );
  });

  it('ticks by its own timer once started, and no more once stopped', () => {
    const { telemetry, meter, clock } = telemetryFixture();
    telemetry.start();
    meter.record('http', 500, 1);
    clock.advance(1000);
    assert.equal(telemetry.trafficRates('http').bytesPerSecond, 500);
    clock.advance(10_000);
    assert.equal(telemetry.trafficRates('http').bytesPerSecond, 0);
    telemetry.stop();
    meter.record('http', 500, 1);
    clock.advance(10_000);
    assert.equal(telemetry.trafficRates('http').bytesPerSecond, 0);
  });
});
