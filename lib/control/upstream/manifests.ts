import type { Span } from '../../span.ts';
import { tracedCall } from '../peers/traced-call.ts';
import type { Clock } from '../../clock.ts';
import { preadPath } from '../../wire/pread.ts';
import type { Arena } from '../../io/arena.ts';
import {
  MANIFEST_COPIES_MAX,
  MANIFEST_HOLDER_MS,
  MANIFEST_HOLDERS_MAX,
  MANIFEST_READ_MS,
} from '../limits.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../limits.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import type { ShardLoader } from '../shards/loader.ts';
import type { Interest, Resident, FetchOptions } from '../shards/resident.ts';
import type { CallOptions } from '../peers/calls.ts';

interface ManifestParts {
  /** This node's name. */
  self: string;
  clock: Clock;
  arena: Arena;
  loader: ShardLoader;
  facts: BlobFacts;
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult>;
}

/**
 * Manifests by digest. Each is a small blob like any other, in memory, on disk and in the swarm,
 * and its digest is checked when it arrives. But it is answered whole, by message. A longer one is
 * not kept.
 */
export class Manifests {
  readonly #parts: ManifestParts;
  readonly #copying = new Set<string>();

  constructor(parts: ManifestParts) {
    this.#parts = parts;
  }

  /**
   * Keeps what the registry, or another node, has just sent; `checksum` is that of the bytes, hex.
   */
  keep(digest: string, bytes: Uint8Array, checksum: string): void {
    // A copy: the bytes themselves go out to the client, and are gone from this thread with it.
    if (bytes.length > 0 && bytes.length <= SHARD_BYTES)
      this.#parts.loader.put(digest, bytes.slice(), checksum);
  }

  /** Whether it is here, in memory or on disk. */
  has(digest: string): boolean {
    return this.#parts.loader.has(digest, 0);
  }

  /**
   * Gets one that `node` has, unless so many are on their way already: it is a copy for the case
   * that the node goes.
   */
  copy(digest: string, node: string): void {
    if (
      node === this.#parts.self ||
      this.has(digest) ||
      this.#copying.size >= MANIFEST_COPIES_MAX ||
      this.#copying.has(digest)
    )
      return;
    this.#copying.add(digest);
    void this.#ask(node, digest).then(() => this.#copying.delete(digest));
  }

  /**
   * From memory, disk or the swarm, or from the origin in `options`; null when it does not come in
   * time.
   */
  read(digest: string, options: FetchOptions): Promise<Uint8Array | null> {
    return this.#load(digest, options, MANIFEST_READ_MS);
  }

  /**
   * While the registry is down: from here, from the nodes that are said to have it, from the swarm;
   * null: from nowhere, in the same time.
   */
  async readWithout(
    digest: string,
    holders: () => Promise<readonly string[]>,
    span?: Span,
  ): Promise<Uint8Array | null> {
    const { self, clock } = this.#parts;
    const options: FetchOptions = {
      origin: null,
      sliceBytes: 0,
      digest,
      requestId: '',
      ...(span === undefined ? {} : { span }),
      onBehalf: null,
    };
    const here = this.has(digest) ? await this.#load(digest, options, MANIFEST_READ_MS) : null;
    if (here !== null) return here;
    const nodes = (await holders()).filter((node) => node !== self);
    const dueMs = clock.nowMs() + MANIFEST_READ_MS;
    for (const node of nodes.slice(0, MANIFEST_HOLDERS_MAX)) {
      const bytes = await this.#ask(node, digest, span);
      if (bytes !== null) return bytes;
    }
    return this.#load(digest, options, dueMs - clock.nowMs());
  }

  async #ask(node: string, digest: string, span?: Span): Promise<Uint8Array | null> {
    const path = preadPath({
      key: digest,
      shard: 0,
      fromBytes: 0,
      node: this.#parts.self,
      zone: null,
      role: 'parent',
      exclude: [],
      hops: 0,
      load: 0,
      holdMs: PEER_HOLD_MS,
    });
    const result = await tracedCall(span, 'peer', node, (traceparent) =>
      this.#parts.call(node, path, {
        deadlineMs: MANIFEST_HOLDER_MS,
        answerBytesMax: SHARD_BYTES,
        digest,
        traceparent,
      }),
    );
    if (result.kind !== 'answer' || result.status !== 200 || result.checksum === null) return null;
    this.keep(digest, result.body, result.checksum);
    return result.body;
  }

  /** Brings the shard and copies it out; a few KB, as a rule. */
  #load(digest: string, options: FetchOptions, deadlineMs: number): Promise<Uint8Array | null> {
    const { clock, arena, loader, facts } = this.#parts;
    return new Promise((resolve) => {
      let held: Resident | null = null;
      let isOver = false;
      const end = (bytes: Uint8Array | null): void => {
        if (isOver) return;
        isOver = true;
        timer.cancel();
        resolve(bytes);
        // `want` may call back before it returns; then it is dropped below.
        if (held !== null) loader.drop(held, interest);
      };
      const copy = ({ slot, lengthBytes }: Resident): void =>
        end(
          facts.totalOf(digest) === lengthBytes ? arena.bytes(slot, 0, lengthBytes).slice() : null,
        );
      const interest: Interest = {
        placed: (resident) => {
          if (resident.phase === 'complete') copy(resident);
        },
        complete: copy,
        failed: () => end(null),
      };
      const timer = clock.after(deadlineMs, () => end(null));
      held = loader.want(digest, 0, options, interest);
      if (isOver) loader.drop(held, interest);
    });
  }
}
