import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the headers begin, after the table's own. */
export const HEADERS_FROM_BYTES = 4_096;
const HEADER_BYTES = 128;

/** The committed shards of a cache's header table (the layout is in lib/cache/header.ts). */
export async function storedShards(
  cacheDir: string,
): Promise<{ offsetBytes: number; lengthBytes: number }[]> {
  const table = await readFile(join(cacheDir, 'index'));
  const found: { offsetBytes: number; lengthBytes: number }[] = [];
  for (let at = HEADERS_FROM_BYTES; at + HEADER_BYTES <= table.length; at += HEADER_BYTES) {
    if (table.toString('latin1', at, at + 4) !== 'SHRD') continue;
    found.push({
      offsetBytes: Number(table.readBigUInt64LE(at + 24)),
      lengthBytes: table.readUInt32LE(at + 36),
    });
  }
  return found;
}
