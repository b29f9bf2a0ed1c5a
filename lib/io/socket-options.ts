import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as koffiModule from 'koffi';

type Koffi = typeof koffiModule;

/** Values of Linux on x86-64 and arm64 (asm-generic/socket.h, linux/tcp.h). */
const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;
const IPPROTO_TCP = 6;
const TCP_WINDOW_CLAMP = 10;
const TCP_INFO = 11;

/** `tcpi_min_rtt` of `struct tcp_info`, in us, and the length of the part up to it. */
const MIN_RTT_OFFSET = 148;
const MIN_RTT_END = MIN_RTT_OFFSET + 4;

type SetSockOpt = (
  fd: number,
  level: number,
  name: number,
  value: Int32Array,
  length: number,
) => number;

type GetSockOpt = (
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
  length: Uint32Array,
) => number;

/** System calls on TCP sockets that Node.js does not offer. */
export interface SocketOptions {
  /**
   * Sets how many bytes must be there before a socket becomes readable; 1 is the kernel's default.
   * False if the socket is closed, or the kernel refuses.
   */
  setLowWater(socket: Socket, bytes: number): boolean;
  /**
   * Bounds what the other side may have sent and this one not read, in bytes. The kernel forgets it
   * when it enlarges the socket's buffer. False as for `setLowWater`.
   */
  setWindow(socket: Socket, bytes: number): boolean;
  /** The connection's shortest round trip of the last minutes, in ms; null if it is not known. */
  roundTripMs(socket: Socket): number | null;
}

let loaded: { options: SocketOptions | null; reason: string } | undefined;

/**
 * The system calls, through koffi. `options` is null where they cannot be made, with the reason.
 * Receiving then goes by the kernel's defaults, with more wake-ups.
 */
export function socketOptions(): { options: SocketOptions | null; reason: string } {
  return (loaded ??= load());
}

function load(): { options: SocketOptions | null; reason: string } {
  if (process.platform !== 'linux')
    return { options: null, reason: `socket options are not set on ${process.platform}` };
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    return { options: null, reason: `socket options are not set on ${process.arch}` };
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const libc = koffi.load(null);
    return {
      reason: '',
      options: optionsBy(
        libc.func('int setsockopt(int fd, int level, int name, void *value, unsigned int length)'),
        libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
      ),
    };
  } catch (error) {
    return { options: null, reason: `cannot load koffi: ${(error as Error).message}` };
  }
}

function optionsBy(setsockopt: SetSockOpt, getsockopt: GetSockOpt): SocketOptions {
  const value = new Int32Array(1);
  const info = new Uint8Array(MIN_RTT_END);
  const infoView = new DataView(info.buffer);
  const infoLength = new Uint32Array(1);
  const set = (socket: Socket, level: number, name: number, number: number): boolean => {
    const fd = descriptorOf(socket);
    if (fd < 0) return false;
    value[0] = number;
    return setsockopt(fd, level, name, value, value.byteLength) === 0;
  };
  return {
    setLowWater: (socket, bytes) => set(socket, SOL_SOCKET, SO_RCVLOWAT, bytes),
    setWindow: (socket, bytes) => set(socket, IPPROTO_TCP, TCP_WINDOW_CLAMP, bytes),
    roundTripMs(socket) {
      const fd = descriptorOf(socket);
      infoLength[0] = info.byteLength;
      if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, infoLength) !== 0) return null;
      // 2^32 - 1 us: no round trip was measured.
      const us = infoLength[0] < MIN_RTT_END ? 0 : infoView.getUint32(MIN_RTT_OFFSET, true);
      return us > 0 && us < 0xffff_ffff ? us / 1000 : null;
    },
  };
}

/**
 * The descriptor of an open socket, or -1. Node.js keeps it on a handle that it does not document.
 */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
