import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ManualClock } from '../../../lib/clock.ts';
import { Gate } from '../../../lib/control/upstream/access-gate.ts';
import type { Manifests } from '../../../lib/control/upstream/manifests.ts';
import type { RegistryMemory } from '../../../lib/control/upstream/registry-memory.ts';
import { Relays, type RelayedAnswer } from '../../../lib/control/upstream/relays.ts';
import type { ErrorCode } from '../../../lib/errors.ts';
import { AccessLedger } from '../../../lib/registry/access.ts';
import { Outages } from '../../../lib/origin/outages.ts';
import type { RelayJob, RelayResult } from '../../../lib/workers/pool.ts';
import { KEY } from '../fixture.ts';

export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const EVERY =
  `${INDEX_TYPE}, ${MANIFEST_TYPE}, ` +
  'application/vnd.docker.distribution.manifest.list.v2+json, ' +
  'application/vnd.docker.distribution.manifest.v2+json';
export const SCOPE = 'repo r.example/app';
export const text = (value: object): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(value));
export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export const MANIFEST = text({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: { digest: KEY, size: 1 },
  layers: [],
});
export const DIGEST = digestOf(MANIFEST);
export const INDEX = text({
  schemaVersion: 2,
  mediaType: INDEX_TYPE,
  manifests: [{ digest: DIGEST, mediaType: MANIFEST_TYPE, size: MANIFEST.length }],
});
export const down = (code: ErrorCode = 'ORIGIN_UNREACHABLE'): RelayResult => ({
  kind: 'failed',
  error: { code, message: 'down' },
});
export const said = (
  status: number,
  headers: Record<string, string> = {},
  body = new Uint8Array(0),
): RelayResult => ({
  kind: 'answer',
  status,
  headers,
  body: body.slice(),
  manifest: body.length === 0 ? null : { digest: digestOf(body), checksum: 'c' },
});

export const manifestSaid = (): RelayResult =>
  said(200, { 'content-type': MANIFEST_TYPE, 'docker-content-digest': DIGEST }, MANIFEST);

/** What nodes remember of DIGEST: a right granted 5 s ago, and the node that has the manifest. */
export const REMEMBERED: Awaited<ReturnType<RegistryMemory['recall']>> = {
  right: { isGranted: true, ageMs: 5_000 },
  manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] },
};

/**
 * Relays of one registry. The test sets what the registry answers, what the swarm holds and what is
 * remembered of the registry. Every call that the relays make is recorded.
 */
export class RelaysFixture {
  readonly clock = new ManualClock();
  readonly outages = new Outages(this.clock, async () => this.pinged);
  gate!: Gate;
  #relays!: Relays;

  /** What the registry answers, and the status of its answer to a ping. */
  result: RelayResult = down();
  pinged: number | null = null;
  isVouched = true;
  /** The manifests of the swarm. */
  readonly kept = new Map<string, Uint8Array>();
  /** What the nodes remember of the registry. */
  recalled: Awaited<ReturnType<RegistryMemory['recall']>> = { right: null, manifest: null };
  greeting: string | null | undefined = undefined;

  readonly asked: RelayJob[] = [];
  readonly reads: string[] = [];
  readonly told: [string, ...unknown[]][] = [];
  readonly counts: string[] = [];
  readonly spokenFor: unknown[] = [];

  constructor() {
    this.setUp();
  }

  setUp(staleTtlMs = 3_600_000): void {
    const { clock, outages } = this;
    const ledger = new AccessLedger({ clock, ttlMs: 60_000, staleTtlMs, check: 'strict' });
    this.gate = new Gate({
      ledger,
      outages,
      probe: () => assert.fail(),
      servesWhole: () => false,
      headManifest: () => assert.fail(),
      sized: () => assert.fail(),
      count: () => undefined,
    });
    const manifests: Partial<Manifests> = {
      keep: (digest, bytes) => void this.kept.set(digest, bytes.slice()),
      read: async (digest, way) => {
        this.reads.push(`${digest} ${way.origin?.accept}`);
        return this.kept.get(digest)?.slice() ?? null;
      },
      readWithout: async (digest, holders) => {
        this.reads.push(`${digest} ${(await holders()).join()}`);
        return this.kept.get(digest)?.slice() ?? null;
      },
    };
    const memory: Partial<RegistryMemory> = {
      served: async (...args) => void this.told.push(['served', ...args]),
      holds: (...args) => void this.told.push(['holds', ...args]),
      refused: async (...args) => void this.told.push(['refused', ...args]),
      greeted: (...args) => void this.told.push(['greeted', ...args]),
      recall: async () => this.recalled,
      recallGreeting: async () => this.greeting,
    };
    this.#relays = new Relays({
      gate: this.gate,
      outages,
      isVouched: () => this.isVouched,
      manifests: manifests as Manifests,
      memory: memory as RegistryMemory,
      relay: async (job) => {
        this.asked.push(job);
        return this.result;
      },
      spokenFor: ({ upstream }, { code, status }) => this.spokenFor.push([upstream, code, status]),
      count: (name) => this.counts.push(name),
    });
  }

  /** A client's request for the manifest `reference`. */
  ask(
    reference: string,
    more: {
      method?: string;
      authorization?: string;
      accept?: string;
      headers?: Record<string, string>;
    } = {},
  ): Promise<RelayedAnswer> {
    const { method = 'GET', authorization, accept = EVERY, headers = {} } = more;
    return this.#relays.answer({
      kind: 'relay',
      id: 1,
      method,
      url: `https://r.example/v2/app/manifests/${reference}`,
      upstreamHost: 'r.example',
      requestId: 'request-1',
      headers: { accept, ...(authorization === undefined ? {} : { authorization }), ...headers },
      what: 'manifest',
      scope: SCOPE,
      repository: 'app',
      reference,
    });
  }

  /** A client's request for /v2/. */
  ping(headers: Record<string, string> = {}): Promise<RelayedAnswer> {
    return this.#relays.answer({
      kind: 'relay',
      id: 1,
      method: 'GET',
      url: 'https://r.example/v2/',
      upstreamHost: 'r.example',
      requestId: 'request-1',
      headers,
      what: 'ping',
      scope: null,
      repository: null,
      reference: null,
    });
  }
}
