import { ShoalError } from '../../lib/errors.ts';
import { LOOK_MS } from '../../lib/limits.ts';
import type { OriginTarget } from '../../lib/origin-target.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';
import type { ReadOptions } from '../../lib/origin/client.ts';
import type { PingAnswer } from '../../lib/origin/outages.ts';
import type { ProbeJob, ProbeResult, RelayJob, RelayResult } from '../../lib/workers/pool.ts';
import type { Blob } from './library.ts';
import type { Network } from './network.ts';
import type { ProcessClock } from './timeline.ts';

export const UPSTREAM = 'https://registry.test';
export const HOST = 'registry.test';

const FIRST_BYTE_MS = 20_000;
const PIECE_BYTES = 256 * 1024;

/** A span of time in which a credential opens a repository. */
interface Right {
  repository: string;
  fromMs: number;
  untilMs: number;
}

/** What the registry holds, whom it serves, and what it has sent. */
export class Registry {
  readonly #blobs = new Map<string, Blob>();
  readonly #rights = new Map<string, Right[]>();
  readonly #nowMs: () => number;
  /** `up`, answers 503 to everything, or accepts connections and says nothing. */
  state: 'up' | 'failing' | 'silent' = 'up';
  /** The chance that an answer is cut in the middle. */
  cutChance = 0;
  requests = 0;
  readonly sentBytes = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  put(repository: string, blob: Blob): void {
    this.#blobs.set(`${repository}/${blob.digest}`, blob);
  }

  grant(credential: string, right: Right): void {
    this.#rights.set(credential, [...(this.#rights.get(credential) ?? []), right]);
  }

  /** Whether the credential opens the repository at some time in [fromMs, untilMs]. */
  opens(repository: string, credential: string | null, fromMs: number, untilMs: number): boolean {
    return (this.#rights.get(credential ?? '') ?? []).some(
      (right) =>
        right.repository === repository && right.fromMs <= untilMs && right.untilMs > fromMs,
    );
  }

  find(repository: string, digest: string): Blob | undefined {
    return this.#blobs.get(`${repository}/${digest}`);
  }

  /** The blob, or the error that the registry answers with. */
  answer({ url, authorization }: { url: string; authorization: string | null }): Blob {
    this.requests += 1;
    if (this.state === 'failing') throw refused(503, 'UNAVAILABLE');
    const [, repository = '', digest = ''] =
      /^https:\/\/[^/]+\/v2\/(.+)\/blobs\/(.+)$/.exec(url) ?? [];
    const nowMs = this.#nowMs();
    if (authorization === null) throw refused(401, 'UNAUTHORIZED');
    if (!this.opens(repository, authorization, nowMs, nowMs)) throw refused(403, 'DENIED');
    const blob = this.find(repository, digest);
    if (blob === undefined) throw refused(404, 'BLOB_UNKNOWN');
    return blob;
  }

  sent(digest: string, bytes: number): void {
    this.sentBytes.set(digest, (this.sentBytes.get(digest) ?? 0) + bytes);
  }
}

function refused(status: number, code: string): ShoalError {
  return new ShoalError('ORIGIN_REFUSED', `${HOST} answered ${status}`, {
    status,
    headers: {
      'content-type': 'application/json',
      ...(status === 401 ? { 'www-authenticate': `Bearer realm="https://${HOST}/token"` } : {}),
    },
    body: JSON.stringify({ errors: [{ code }] }),
  });
}

/** The registry as the transfer threads of one machine reach it: the place of OriginClient. */
export class OriginLink {
  readonly #registry: Registry;
  readonly #network: Network;
  readonly #machine: string;
  readonly #clock: ProcessClock;

  constructor(registry: Registry, network: Network, machine: string, clock: ProcessClock) {
    this.#registry = registry;
    this.#network = network;
    this.#machine = machine;
    this.#clock = clock;
  }

  async readRange(
    target: OriginTarget,
    want: { offsetBytes: number; lengthBytes: number; totalBytes: number | null },
    sink: OriginSink,
    options: Partial<ReadOptions> = {},
  ): Promise<{ requests: number }> {
    await this.#reach(() => sink.stopped());
    const blob = this.#registry.answer(target);
    const totalBytes = blob.bytes.length;
    options.learned?.({ ranges: 'parts', totalBytes, atHome: true });
    const endBytes = Math.min(totalBytes, want.offsetBytes + want.lengthBytes);
    if (want.offsetBytes >= totalBytes)
      throw new ShoalError('RANGE_NOT_SATISFIABLE', 'past the end of the blob');
    sink.head({
      totalBytes,
      startBytes: want.offsetBytes,
      lengthBytes: endBytes - want.offsetBytes,
    });
    let atBytes = want.offsetBytes;
    while (atBytes < endBytes) {
      const piece = blob.bytes.subarray(atBytes, Math.min(endBytes, atBytes + PIECE_BYTES));
      await this.#piece(piece.length, () => sink.stopped());
      if (this.#network.random.next() < this.#registry.cutChance)
        throw new ShoalError('ORIGIN_BROKEN', `${HOST} closed the connection`);
      this.#registry.sent(blob.digest, piece.length);
      sink.data(piece);
      atBytes += piece.length;
    }
    return { requests: 1 };
  }

  async probe(job: ProbeJob): Promise<ProbeResult> {
    try {
      await this.#reach(() => false);
      return {
        kind: 'granted',
        totalBytes: this.#registry.answer(job).bytes.length,
        ranges: 'parts',
      };
    } catch (thrown) {
      return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire() };
    }
  }

  /** No manifests are simulated: what is relayed is refused as the registry refuses it. */
  async relay(job: RelayJob): Promise<RelayResult> {
    try {
      await this.#reach(() => false);
      this.#registry.answer({ ...job, authorization: job.headers['authorization'] ?? null });
      throw refused(404, 'MANIFEST_UNKNOWN');
    } catch (thrown) {
      return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire() };
    }
  }

  async ping(): Promise<PingAnswer> {
    try {
      await this.#reach(() => false);
    } catch {
      return null;
    }
    return this.#registry.state === 'failing' ? 503 : 401;
  }

  /** Resolves when a request has been answered; rejects like OriginClient. */
  async #reach(isStopped: () => boolean): Promise<void> {
    const [there, back] = this.#ways();
    const dueMs = this.#clock.nowMs() + FIRST_BYTE_MS;
    await this.#wait(there.latencyMs);
    while (there.isCut || back.isCut || this.#registry.state === 'silent') {
      if (isStopped()) throw new ShoalError('CANCELLED', 'not wanted any more');
      if (this.#clock.nowMs() >= dueMs)
        throw new ShoalError('ORIGIN_TIMEOUT', `${HOST} sent nothing for ${FIRST_BYTE_MS} ms`);
      await this.#wait(LOOK_MS);
    }
    await this.#wait(back.latencyMs);
  }

  async #piece(bytes: number, isStopped: () => boolean): Promise<void> {
    const [, back] = this.#ways();
    const dueMs = this.#clock.nowMs() + FIRST_BYTE_MS;
    await this.#wait(bytes / back.bytesPerMs);
    while (back.isCut) {
      if (isStopped()) break;
      if (this.#clock.nowMs() >= dueMs)
        throw new ShoalError('ORIGIN_TIMEOUT', `${HOST} sent nothing for ${FIRST_BYTE_MS} ms`);
      await this.#wait(LOOK_MS);
    }
    if (isStopped()) throw new ShoalError('CANCELLED', 'not wanted any more');
  }

  #ways() {
    return [
      this.#network.path(this.#machine, HOST),
      this.#network.path(HOST, this.#machine),
    ] as const;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}
