import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as koffiModule from 'koffi';

type Koffi = typeof koffiModule;

/** Values of Linux on x86-64 and arm64 (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;

type SetSockOpt = (
  fd: number,
  level: number,
  name: number,
  value: Int32Array,
  length: number,
) => number;

/**
 * Sets how many bytes must be there before a socket becomes readable; 1 is the kernel's default.
 */
export type SetLowWater = (socket: Socket, bytes: number) => boolean;

let loaded: { set: SetLowWater | null; reason: string } | undefined;

/**
 * The system call, which Node.js does not offer, through koffi. `set` is null where it cannot be
 * made, with the reason: receiving then works as before, with more wake-ups.
 */
export function lowWater(): { set: SetLowWater | null; reason: string } {
  return (loaded ??= load());
}

function load(): { set: SetLowWater | null; reason: string } {
  if (process.platform !== 'linux')
    return { set: null, reason: `SO_RCVLOWAT is not used on ${process.platform}` };
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    return { set: null, reason: `SO_RCVLOWAT is not used on ${process.arch}` };
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const setsockopt: SetSockOpt = koffi
      .load(null)
      .func('int setsockopt(int fd, int level, int name, void *value, unsigned int length)');
    const value = new Int32Array(1);
    return {
      reason: '',
      set(socket, bytes) {
        const fd = descriptorOf(socket);
        if (fd < 0) return false;
        value[0] = bytes;
        return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, value, value.byteLength) === 0;
      },
    };
  } catch (error) {
    return { set: null, reason: `cannot load koffi: ${(error as Error).message}` };
  }
}

/**
 * The descriptor of an open socket, or -1. Node.js keeps it on a handle that it does not document.
 */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
