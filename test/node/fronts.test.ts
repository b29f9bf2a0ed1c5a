import assert from 'node:assert/strict';
import { systemClock } from '../../lib/clock.ts';
import { loadConfig } from '../../lib/config/load.ts';
import { FrontReads } from '../../lib/control/threads/front-reads.ts';
import { claimPorts } from '../../lib/control/watch/ports.ts';
import type { ShoalError } from '../../lib/errors.ts';
import { Arena } from '../../lib/io/arena.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { REQUEST_HEAD_BYTES_MAX, SHARD_BYTES } from '../../lib/limits.ts';
import { startFronts, type FrontInputs, type Fronts } from '../../lib/node/fronts.ts';
import { FRONT_DEATHS_MAX } from '../../lib/node/limits.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { until } from '../telemetry/until.ts';

describe('node/fronts', () => {
  let fronts: Fronts;
  let url: string;
  let deaths: string[];
  let gaveUp: ShoalError[];
  /** Whether the next page is one that ends the thread that should send it. */
  let isFatal: boolean;

  beforeEach(async () => {
    process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
    [deaths, gaveUp, isFatal] = [[], [], false];
    const any = { host: '127.0.0.1', port: 0, what: 'test' };
    const [proxy, p2p, exporter] = await claimPorts([any, { ...any }, { ...any }]);
    const at = (port: number) => ({ host: '127.0.0.1', port });
    url = `http://127.0.0.1:${exporter}`;
    // Only what a page needs; headers that are none are a fault within the thread.
    const page = async () => ({ status: 200, headers: isFatal ? null : {}, body: 'a page' });
    const none = (): void => undefined;
    const journal = { pulls: { heard: none, said: none }, step: none, nowMs: systemClock.nowMs };
    const inputs = {
      config: loadConfig({ file: undefined, sets: [], mode: 'agent' }),
      origin: { registries: [], allow: [], mirrorStates: new SharedArrayBuffer(4) },
      at: { node: '127.0.0.1:1', proxy: at(proxy!), p2p: at(p2p!), exporter: at(exporter!) },
      frontCount: 1,
      secretHex: '00'.repeat(32),
      storage: {
        arena: Arena.create(SHARD_BYTES),
        doorbells: Doorbells.create(1),
        frontReads: new FrontReads(),
      },
      observation: {
        meters: new MeterBoard().shared,
        meter: { count: (key: string) => deaths.push(key) },
        log: { error: () => undefined },
        journal: { tracer: null },
      },
      clock: systemClock,
      desk: { page, journal },
      gaveUp: (error: ShoalError) => gaveUp.push(error),
    };
    fronts = await startFronts(inputs as unknown as FrontInputs);
  });
  afterEach(() => fronts.drain());

  const status = () => fetch(`${url}/status`, { headers: { connection: 'close' } });

  it('replaces a thread that failed, on the same ports', async () => {
    isFatal = true;
    await assert.rejects(status());
    isFatal = false;
    await until(
      async () => (await status().catch(() => null))?.status === 200,
      'an answer of the next thread',
      10_000,
    );
    assert.deepEqual([deaths, gaveUp], [['thread.front'], []]);
  });

  it('gives up when they fail again and again', async () => {
    isFatal = true;
    await until(
      async () => {
        await status().catch(() => undefined);
        return gaveUp.length > 0;
      },
      'the end',
      30_000,
    );
    assert.equal(deaths.length, FRONT_DEATHS_MAX + 1);
  });
});
