import { EMPTY_HEADER, HEADER_BYTES, decodeHeader, encodeHeader } from './header.ts';
import type { ShardHeader } from './header.ts';
import type { CachePlan } from './plan.ts';
import type { HeaderJob } from './slab-io.ts';

/** What recovery made of a header table. */
interface Recovery {
  restored: number;
  /** Whole headers that another contradicts, or that no longer fit the slab. */
  rejected: number;
  /** The highest generation found. */
  generation: number;
  /**
   * Headers to write, in this order: rejected ones emptied, so that they never come back, moved
   * ones at their new place, then the old.
   */
  headers: HeaderJob[];
}

/**
 * Rebuilds an empty `plan` from a header table (entries only, without page 0). Of two headers that
 * claim the same shard or the same bytes of the slab the higher generation is right. Entries past
 * the plan's table move to free places below. Data is not looked at: each shard is checked against
 * its checksum when it is first read.
 */
export function recover(table: Buffer, plan: CachePlan): Recovery {
  const found: { at: number; header: ShardHeader }[] = [];
  const occupied = new Uint8Array(plan.entryCount);
  for (let at = 0; (at + 1) * HEADER_BYTES <= table.length; at++) {
    const header = decodeHeader(table, at * HEADER_BYTES);
    if (header === undefined) continue;
    found.push({ at, header });
    if (at < plan.entryCount) occupied[at] = 1;
  }
  found.sort((a, b) => b.header.generation - a.header.generation);

  const result: Recovery = {
    restored: 0,
    rejected: 0,
    generation: found[0]?.header.generation ?? 0,
    headers: [],
  };
  let vacant = 0;
  for (const { at, header } of found) {
    let number = at;
    if (at >= plan.entryCount) {
      while (vacant < plan.entryCount && occupied[vacant] === 1) vacant++;
      number = vacant;
    }
    if (number < plan.entryCount && plan.restore(number, header)) {
      result.restored++;
      if (number === at) continue;
      occupied[number] = 1;
      result.headers.push({ entry: number, bytes: encodeHeader(header) });
    } else {
      result.rejected++;
    }
    result.headers.push({ entry: at, bytes: EMPTY_HEADER });
  }
  plan.restored();
  return result;
}
