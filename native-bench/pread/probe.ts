import { ShoalError } from '../../lib/errors.ts';
import { PULL_HEAD_TIMEOUT_MS } from '../../lib/limits.ts';
import { PreadConnection } from './connection.ts';
import type { Target } from './target.ts';

/**
 * The object's size, from the Content-Range of its first byte. Throws ORIGIN_UNREACHABLE when
 * nobody answers and ORIGIN_BROKEN when the answer is not one byte of something.
 */
export function probeSize(target: Target): Promise<number> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      connection.destroy();
      settle();
    };
    const timer = setTimeout(
      () =>
        end(() =>
          reject(
            new ShoalError('ORIGIN_TIMEOUT', `no answer within ${PULL_HEAD_TIMEOUT_MS / 1000} s`),
          ),
        ),
      PULL_HEAD_TIMEOUT_MS,
    );
    const connection = new PreadConnection(target, Buffer.alloc(64 * 1024), {
      free(outcome) {
        if (outcome === null) connection.read(0, 1);
        else if (!outcome.ok)
          end(() =>
            reject(
              new ShoalError('ORIGIN_BROKEN', `the first byte cannot be read: ${outcome.problem}`),
            ),
          );
        else {
          const { totalBytes } = connection;
          end(() =>
            totalBytes === null
              ? reject(new ShoalError('ORIGIN_BROKEN', 'the answer does not tell the size'))
              : resolve(totalBytes),
          );
        }
      },
      body: () => true,
      lost: (problem) =>
        end(() =>
          reject(
            new ShoalError(
              'ORIGIN_UNREACHABLE',
              `${target.host}:${target.port}: ${problem ?? 'closed'}`,
            ),
          ),
        ),
    });
  });
}
