import { crc32 } from 'node:zlib';
import { PAGE_BYTES } from '../limits.ts';
import { CHECKSUM_BYTES, shardLength } from '../shard.ts';
import { readBlobId, writeBlobId } from './key.ts';

/*
 * The header table, `<dir>/index`, little endian. Page 0 names the format; then one entry of 128
 * bytes per stored shard, so that no entry crosses a disk sector. An entry whose CRC does not fit
 * (torn, or never written) is empty.
 *
 *   page 0   0 "SHOALIDX"   8 u32 version   12 u32 bytes per entry   16 u32 pid of the last opener
 *   entry    0 u32 "SHRD"   4 u32 CRC-32 of bytes 8-127   8 u64 generation   16 u64 blob size   24
 * u64 offset in the slab
 *           32 u32 shard index   36 u32 shard length   40 u32 extent length   44 u8 key kind   48
 * key[32]   80 BLAKE3[32]
 */
export const TABLE_VERSION = 1;
export const TABLE_HEAD_BYTES = PAGE_BYTES;
export const HEADER_BYTES = 128;

const TABLE_MAGIC = 'SHOALIDX';
const HEADER_MAGIC = 0x4452_4853;
const CRC_FROM = 8;
const KEY_AT = 48;
const CHECKSUM_AT = 80;
const CHECKSUM_END = CHECKSUM_AT + CHECKSUM_BYTES;

/** One stored shard as its header says it. */
export interface ShardHeader {
  id: string;
  shard: number;
  lengthBytes: number;
  totalBytes: number;
  offsetBytes: number;
  extentBytes: number;
  /**
   * Counts commits: of two headers that claim the same bytes or the same shard, the higher one is
   * right.
   */
  generation: number;
  checksum: Uint8Array;
}

/**
 * What page 0 says. `foreign`: not a header table at all; `other-version`: one of another format
 * version.
 */
type TableHead =
  | { kind: 'ours'; pid: number }
  | { kind: 'other-version'; version: number }
  | { kind: 'foreign' };

export function encodeTableHead(pid: number): Buffer {
  const page = Buffer.alloc(TABLE_HEAD_BYTES);
  page.write(TABLE_MAGIC, 0, 'latin1');
  page.writeUInt32LE(TABLE_VERSION, 8);
  page.writeUInt32LE(HEADER_BYTES, 12);
  page.writeUInt32LE(pid, 16);
  return page;
}

/**
 * A page of zeros is ours: allocated, and lost by the machine before it was written; the entries
 * speak for themselves.
 */
export function decodeTableHead(page: Buffer): TableHead {
  if (
    page.length >= TABLE_HEAD_BYTES &&
    page.subarray(0, TABLE_HEAD_BYTES).every((byte) => byte === 0)
  )
    return { kind: 'ours', pid: 0 };
  if (page.length < TABLE_HEAD_BYTES || page.toString('latin1', 0, 8) !== TABLE_MAGIC)
    return { kind: 'foreign' };
  const version = page.readUInt32LE(8);
  if (version !== TABLE_VERSION || page.readUInt32LE(12) !== HEADER_BYTES)
    return { kind: 'other-version', version };
  return { kind: 'ours', pid: page.readUInt32LE(16) };
}

/** The 128 bytes of an entry. */
export function encodeHeader(header: ShardHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  view.setUint32(0, HEADER_MAGIC, true);
  putUint64(view, 8, header.generation);
  putUint64(view, 16, header.totalBytes);
  putUint64(view, 24, header.offsetBytes);
  view.setUint32(32, header.shard, true);
  view.setUint32(36, header.lengthBytes, true);
  view.setUint32(40, header.extentBytes, true);
  view.setUint8(44, writeBlobId(header.id, bytes, KEY_AT));
  bytes.set(header.checksum, CHECKSUM_AT);
  view.setUint32(4, crc32(bytes.subarray(CRC_FROM)), true);
  return bytes;
}

/** An entry that holds nothing. */
export const EMPTY_HEADER: Uint8Array = new Uint8Array(HEADER_BYTES);

/*
 * Exact up to 2^53, which nothing here passes; a BigInt each would double the time of a recovery.
 */
function putUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, value / 2 ** 32, true);
}

function readUint64(table: Buffer, at: number): number {
  return table.readUInt32LE(at) + table.readUInt32LE(at + 4) * 2 ** 32;
}

/**
 * Reads the entry at `at` of a table; undefined when it is empty, torn or impossible. `checksum` is
 * a view of the table. The allocator checks that the extent lies within the slab.
 */
export function decodeHeader(table: Buffer, at: number): ShardHeader | undefined {
  if (table.readUInt32LE(at) !== HEADER_MAGIC) return undefined;
  if (crc32(table.subarray(at + CRC_FROM, at + HEADER_BYTES)) !== table.readUInt32LE(at + 4))
    return undefined;
  const id = readBlobId(table.readUInt8(at + 44), table, at + KEY_AT);
  const header = {
    shard: table.readUInt32LE(at + 32),
    lengthBytes: table.readUInt32LE(at + 36),
    extentBytes: table.readUInt32LE(at + 40),
    generation: readUint64(table, at + 8),
    totalBytes: readUint64(table, at + 16),
    offsetBytes: readUint64(table, at + 24),
    checksum: table.subarray(at + CHECKSUM_AT, at + CHECKSUM_END),
  };
  if (id === undefined || header.lengthBytes === 0 || header.lengthBytes > header.extentBytes)
    return undefined;
  if (header.lengthBytes !== shardLength(header.totalBytes, header.shard)) return undefined;
  return { id, ...header };
}
