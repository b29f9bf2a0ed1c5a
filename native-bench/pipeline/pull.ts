import { PreadConnection } from '../pread/connection.ts';
import type { Target } from '../pread/target.ts';

const READ_BUFFER_BYTES = 256 * 1024;

/**
 * Reads a whole object of `totalBytes` in one go over one connection; the seconds it took, and to
 * its first byte. Rejects when it is cut or wrong.
 */
export function pull(
  target: Target,
  totalBytes: number,
  holds: (bytes: Buffer, offsetBytes: number) => boolean,
): Promise<{ seconds: number; firstByteSeconds: number }> {
  return new Promise((resolve, reject) => {
    let startMs = 0;
    let firstMs = 0;
    const connection = new PreadConnection(target, Buffer.allocUnsafeSlow(READ_BUFFER_BYTES), {
      free(outcome) {
        if (outcome === null) {
          startMs = performance.now();
          connection.read(0, totalBytes);
          return;
        }
        connection.destroy();
        if (outcome.ok && outcome.matches)
          resolve({
            seconds: (performance.now() - startMs) / 1000,
            firstByteSeconds: (firstMs - startMs) / 1000,
          });
        else reject(new Error(outcome.ok ? 'wrong bytes' : outcome.problem));
      },
      body(bytes, offsetBytes) {
        if (firstMs === 0) firstMs = performance.now();
        return holds(bytes, offsetBytes);
      },
      lost: (problem) => reject(new Error(problem ?? 'the connection was lost')),
    });
  });
}
