import { systemClock } from '../clock.ts';
import { pullImage } from '../demo/pull.ts';
import { RegistryClient } from '../demo/registry-client.ts';
import type { DirectPulls } from './up-report.ts';
import type { Source } from './up-source.ts';

/**
 * As many pulls straight from the registry at once: what the swarm is compared with. null: the
 * registry is not ours, and is not asked for so much.
 */
export async function pullDirectly(
  { embedded, upstream, credentials, image }: Source,
  clients: number,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<DirectPulls | null> {
  if (embedded === null) return null;
  say(`  pulling it ${clients} times straight from the registry, to compare; ten seconds or so\n`);
  const before = embedded.traffic.blobs.bytes;
  const outcomes = await Promise.all(
    Array.from({ length: clients }, async () => {
      const client = new RegistryClient({ url: upstream, namespace: null }, credentials, signal);
      try {
        return await pullImage(
          client,
          image,
          () => systemClock.nowMs(),
          () => undefined,
        );
      } finally {
        await client.close();
      }
    }),
  );
  signal.throwIfAborted();
  const seconds = Math.max(...outcomes.map((outcome) => outcome.seconds));
  return { bytes: embedded.traffic.blobs.bytes - before, seconds };
}
