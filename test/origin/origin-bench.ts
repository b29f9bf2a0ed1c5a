import type { OriginTarget } from '../../lib/origin-target.ts';
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { ShoalError } from '../../lib/errors.ts';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import { OriginServer } from './origin-server.ts';

export const AUTHORIZATION = 'Bearer hunter2';

/** Servers and clients of one test file; each test's are stopped after it. */
export class OriginBench {
  readonly #stops: (() => Promise<void>)[] = [];

  constructor() {
    afterEach(async () => {
      for (const stop of this.#stops.splice(0)) await stop();
    });
  }

  serve = async (listener: RequestListener): Promise<OriginServer> => {
    const server = await OriginServer.start(listener);
    this.#stops.push(() => server.stop());
    return server;
  };

  client = (allow: string[], tools: OriginTools = {}): OriginClient => {
    const made = new OriginClient({ allow, registries: [] }, tools);
    this.#stops.push(() => made.close());
    return made;
  };
}

export const target = (
  server: OriginServer,
  path = '/blob',
  authorization: string | null = AUTHORIZATION,
): OriginTarget => ({ url: server.url + path, upstreamHost: server.host, authorization });

export const want = (
  offsetBytes: number,
  lengthBytes: number,
  totalBytes: number | null = null,
): { offsetBytes: number; lengthBytes: number; totalBytes: number | null } => ({
  offsetBytes,
  lengthBytes,
  totalBytes,
});

/** The error of a request that must fail; it may hold no secret. */
export async function failure(promise: Promise<unknown>): Promise<ShoalError> {
  const thrown = await promise.then(
    () => assert.fail('should have failed'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof ShoalError, String(thrown));
  for (const secret of ['hunter2', 'Signature'])
    assert.ok(!JSON.stringify({ ...thrown.toWire(), body: '' }).includes(secret), thrown.message);
  return thrown;
}
