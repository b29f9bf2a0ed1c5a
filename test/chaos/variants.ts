import { ShoalError } from '../../lib/errors.ts';
import type { Pools } from '../../lib/control/threads/pools.ts';
import type { Storage } from '../../lib/node/storage.ts';
import type { PoolJob } from '../../lib/workers/pool.ts';
import type { Variant } from './machine.ts';
import type { FaultKind } from './plan.ts';

/** A node with one rule broken, and the faults under which that must show; without: any. */
export interface Broken {
  breaks: Variant;
  under?: FaultKind[];
  /** A seed that shows it. */
  seed: number;
}

/** Changes the jobs of a node's threads, or their results. */
function jobs(
  storage: Storage,
  change: (job: PoolJob, run: (job: PoolJob) => Promise<unknown>) => Promise<unknown>,
): void {
  const pools = storage.pools;
  const run = pools.run.bind(pools) as (job: PoolJob) => Promise<unknown>;
  pools.run = ((job: PoolJob) => change(job, run)) as Pools['run'];
}

export const VARIANTS: Record<string, Broken> = {
  servesUnverifiedBytes: {
    under: ['liar'],
    seed: 2,
    breaks: { watermark: (arena, slot) => arena.received(slot) },
  },
  ignoresAccess: {
    under: [],
    seed: 1,
    breaks: {
      parts({ streams: { gate } }) {
        gate.check = async () => ({ forMs: 60_000, stale: false });
      },
    },
  },
  neverForgetsARight: {
    under: [],
    seed: 1,
    breaks: {
      parts({ streams: { gate } }) {
        const remembered = new Set<string>();
        const check = gate.check.bind(gate);
        gate.check = async (blob, authorization) => {
          const grant = await check(blob, authorization);
          remembered.add(`${blob.scope} ${authorization}`);
          return grant;
        };
        gate.remembered = (blob, authorization) =>
          remembered.has(`${blob.scope} ${authorization}`) ? 60_000 : null;
      },
    },
  },
  takesARefusalForAnOutage: {
    under: [],
    seed: 1,
    breaks: {
      parts({ streams: { gate } }) {
        const granted = new Set<string>();
        const check = gate.check.bind(gate);
        gate.check = async (blob, authorization) => {
          const right = `${blob.scope} ${authorization}`;
          try {
            const grant = await check(blob, authorization);
            granted.add(right);
            return grant;
          } catch (thrown) {
            if (granted.has(right)) return { forMs: 0, stale: true };
            throw thrown;
          }
        };
      },
    },
  },
  givesOneClientsRightToAnother: {
    under: [],
    seed: 1,
    breaks: {
      parts({ streams: { gate } }) {
        const granted = new Set<string>();
        const check = gate.check.bind(gate);
        gate.check = async (blob, authorization) => {
          if (granted.has(blob.scope)) return { forMs: 0, stale: false };
          const grant = await check(blob, authorization);
          granted.add(blob.scope);
          return grant;
        };
      },
    },
  },
  believesAPeersSize: {
    under: ['liar'],
    seed: 33,
    breaks: {
      shards({ facts }) {
        const sized = facts.sized.bind(facts);
        facts.sized = (key, bytes) => sized(key, bytes, 'digest');
      },
    },
  },
  tellsASizeThatANodeClaims: {
    seed: 7_076,
    breaks: {
      parts({ streams: { gate } }) {
        gate.sizeOf = () => null;
        gate.saidBytes = () => null;
        gate.askSize = async () => null;
      },
    },
  },
  leaksAStreamOnAbort: {
    under: [],
    seed: 1,
    breaks: {
      desk(desk) {
        const receive = desk.receive.bind(desk);
        desk.receive = (message) => {
          if (message.kind !== 'close' || message.whole) receive(message);
        };
      },
    },
  },
  leaksAPin: {
    under: [],
    seed: 1,
    breaks: {
      storage({ arena }) {
        const unpin = arena.unpin.bind(arena);
        let times = 0;
        arena.unpin = (slot) => {
          if (++times % 7 !== 0) unpin(slot);
        };
      },
    },
  },
  asksTheOriginForEachReader: {
    under: [],
    seed: 2,
    breaks: {
      storage({ pools }) {
        const origin = pools.origin.bind(pools);
        pools.origin = async (job, heard, mayStream) => {
          for (let times = 0; times < 3; times++) await origin(job, () => undefined, mayStream);
          return origin(job, heard, mayStream);
        };
      },
    },
  },
  retriesTheOriginWithoutBound: {
    under: ['registry'],
    seed: 1,
    breaks: {
      storage(storage) {
        jobs(storage, async (job, run) => {
          for (let times = 0; ; times++) {
            const result = (await run(job)) as { kind: string };
            if (job.kind !== 'probe' || result.kind !== 'failed' || times > 2_000) return result;
          }
        });
      },
    },
  },
  waitsForASilentPeer: {
    under: ['liar'],
    seed: 4,
    breaks: {
      storage(storage) {
        jobs(storage, async (job, run) => {
          const result = (await run(job)) as { kind: string; error?: { code: string } };
          if (job.kind === 'peer' && result.error?.code === 'PEER_TIMEOUT')
            await new Promise(() => undefined);
          return result;
        });
      },
    },
  },
  neverEndsAFetch: {
    under: ['registry'],
    seed: 1,
    breaks: {
      storage({ pools }) {
        const origin = pools.origin.bind(pools);
        pools.origin = (job, heard, mayStream) =>
          origin(
            job,
            (news) => {
              if (news.kind !== 'failed') heard(news);
            },
            mayStream,
          );
      },
    },
  },
  skipsTheDisksChecksum: {
    under: ['disk', 'crash'],
    seed: 10,
    breaks: {
      storage: (storage) =>
        jobs(storage, (job, run) =>
          run(job.kind === 'diskRead' ? { ...job, checksum: null } : job),
        ),
    },
  },
  believesTheRuntimesFiles: {
    under: ['runtime'],
    seed: 4,
    breaks: {
      storage: (storage) =>
        jobs(storage, async (job, run) => {
          const result = await run(job);
          return job.kind === 'fileRead' ? { kind: 'done', outcome: 'ok' } : result;
        }),
    },
  },
  vouchesForStrangers: {
    under: [],
    seed: 8,
    breaks: {
      vouching(vouching) {
        vouching.isVouched = () => true;
        vouching.vouchesFor = () => true;
      },
    },
  },
  sharesWhatASignatureOpened: {
    under: [],
    seed: 10,
    breaks: {
      parts({ streams: { gate } }) {
        const check = gate.check.bind(gate);
        gate.check = (blob, authorization) =>
          blob.url.includes('=bad')
            ? Promise.resolve({ forMs: 0, stale: false })
            : check(blob, authorization);
      },
    },
  },
  opensAnySignature: {
    under: [],
    seed: 1,
    breaks: {
      envelope(envelope) {
        envelope.open = () => ({ kind: 'opened', origin: null, words: null, requestId: '' });
      },
    },
  },
  opensWhatIsForAnotherNode: {
    under: [],
    seed: 1,
    breaks: {
      envelope(envelope) {
        const open = envelope.open.bind(envelope);
        envelope.open = (request) => {
          const opened = open(request);
          return opened.kind === 'refused' && opened.code === 'PEER_ADDRESS'
            ? { kind: 'opened', origin: null, words: null, requestId: '' }
            : opened;
        };
      },
    },
  },
  tellsSizesInErrors: {
    under: [],
    seed: 3,
    breaks: {
      parts({ streams: { gate } }, { facts }) {
        const check = gate.check.bind(gate);
        gate.check = async (blob, authorization) => {
          try {
            return await check(blob, authorization);
          } catch (thrown) {
            const error = ShoalError.from(thrown);
            throw new ShoalError(error.code, `${error.message} (${facts.totalOf(blob.key)})`, {
              status: error.status,
            });
          }
        };
      },
    },
  },
};
