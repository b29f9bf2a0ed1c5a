import { z } from 'zod';
import { SUMMARY_BLOBS_MAX, SUMMARY_IMAGES_MAX, SUMMARY_TROUBLED_MAX } from './limits.ts';
import { peerStates } from './peer-states.ts';
import type { PullStatus, Status } from './status.ts';

const bytes = z.number().nonnegative();
const name = z.string().min(3).max(80);
const sums = z.object({ origin: bytes, peer: bytes, cache: bytes, client: bytes, upload: bytes });

/** What one node tells the swarm of itself (docs/SPEC.md 8). Unknown fields are left out. */
const nodeSummary = z.object({
  /** address:port of its p2p port. */
  node: name,
  role: z.enum(['agent', 'root']),
  version: z.string().max(60),
  uptimeSeconds: z.number().nonnegative(),
  /** Empty: it is ready. */
  notReady: z.array(z.string().max(200)).max(8),
  /** Address of its own page; null: it has no exporter port. */
  page: z.string().max(200).nullable(),
  /** Payload bytes since its start, and per second over the last window. */
  bytes: sums,
  rates: sums,
  cache: z.object({ usedBytes: bytes, capacityBytes: bytes, suspended: z.boolean() }),
  /** Entries waiting in all its queues. */
  waiting: z.number().nonnegative(),
  errors: z.object({ count: z.number().nonnegative(), lastCode: z.string().max(40).nullable() }),
  /** Peers it avoids or is refused by. */
  troubled: z.array(z.object({ node: name, state: z.enum(peerStates) })).max(SUMMARY_TROUBLED_MAX),
  /** Images its clients pull or have pulled, the latest first. */
  images: z
    .array(
      z.object({
        image: z.string().max(400),
        digest: z.string().max(100).nullable(),
        bytes,
        /** null: not known. */
        sizeBytes: bytes.nullable(),
        running: z.boolean(),
        failed: z.boolean(),
      }),
    )
    .max(SUMMARY_IMAGES_MAX),
  /** Blobs it reads or tracks, for the choice of a tree. */
  blobs: z
    .array(z.object({ blob: z.string().max(100), totalBytes: bytes.nullable() }))
    .max(SUMMARY_BLOBS_MAX),
});
export type NodeSummary = z.infer<typeof nodeSummary>;

/** A summary on its way: its age is counted from when its node made it. */
export const agedSummary = nodeSummary.extend({ ageMs: z.number().nonnegative() });
export type AgedSummary = z.infer<typeof agedSummary>;

const SOURCES = ['origin', 'peer', 'cache', 'client', 'upload'] as const;

/** Cuts a node's status down to its summary. */
export function summarize(
  status: Omit<Status, 'history'>,
  pulls: readonly PullStatus[],
  page: string | null,
  totalOf: (blob: string) => number | null,
): NodeSummary {
  const { recentErrors, cache, inFlight, trees } = status;
  const totals = { ...status.bytes, client: status.sent.client, upload: status.sent.peer };
  const images = new Map<string, NodeSummary['images'][number]>();
  for (const pull of pulls) {
    const { image, digest, running, imageBytes } = pull;
    const key = `${image} ${digest ?? ''}`;
    if (images.has(key) || images.size === SUMMARY_IMAGES_MAX) continue;
    const failed = !running && pull.errors.length > 0 && pull.bytes < (imageBytes ?? 1);
    images.set(key, {
      image: image.slice(0, 400),
      digest,
      bytes: pull.sentBytes,
      sizeBytes: imageBytes,
      running,
      failed,
    });
  }
  const blobs = new Set([...inFlight.map(({ blob }) => blob), ...trees.blobs]);
  return {
    node: status.node,
    role: status.mode,
    version: status.version,
    uptimeSeconds: status.uptimeSeconds,
    notReady: status.notReady.slice(0, 8).map((reason) => reason.slice(0, 200)),
    page,
    bytes: pick(totals),
    rates: pick(status.rates),
    cache: {
      usedBytes: cache.usedBytes,
      capacityBytes: cache.allocatedBytes,
      suspended: cache.suspended,
    },
    waiting: Object.values(status.queues).reduce((sum, length) => sum + length, 0),
    errors: {
      count: recentErrors.reduce((sum, { count }) => sum + count, 0),
      lastCode: recentErrors[0]?.code.slice(0, 40) ?? null,
    },
    troubled: status.peers
      .filter(({ state }) => state !== 'up' && state !== 'unknown')
      .slice(0, SUMMARY_TROUBLED_MAX)
      .map(({ node, state }) => ({ node, state })),
    images: [...images.values()],
    blobs: [...blobs]
      .slice(0, SUMMARY_BLOBS_MAX)
      .map((blob) => ({ blob, totalBytes: totalOf(blob) })),
  };
}

function pick(from: NodeSummary['bytes']): NodeSummary['bytes'] {
  return Object.fromEntries(
    SOURCES.map((source) => [source, Math.round(from[source])]),
  ) as NodeSummary['bytes'];
}
