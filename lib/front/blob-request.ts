import type { ErrorCode } from '../errors.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import type { BlobName } from '../workers/messages.ts';
import type { SenderTools } from './body-sender.ts';
import type { ControlLink } from './control-link.ts';
import type { AccountTools } from './read-account.ts';
import type { WarmMemory, WarmRequest } from './warm.ts';

/** A client's request for a blob. */
export interface BlobRequest {
  name: BlobName;
  bodyless: boolean;
  range: string;
  ifRange: string;
  ifNoneMatch: string;
  requestId: string;
  /** See OpenRequest; '' without one. */
  traceparent: string;
  /** The request that the grant is remembered for. */
  warm: WarmRequest;
}

/** What answers to such requests need and report to. */
export interface BlobAnswerTools extends SenderTools, AccountTools {
  link: ControlLink;
  warm: WarmMemory;
  /**
   * A read was answered at once from memory; no other callback follows for it. `firstBytes` of its
   * bytes came from `source` and were read for the first time.
   */
  warmRead(
    read: { name: BlobName; offsetBytes: number; bytes: number; startMs: number },
    firstBytes: number,
    source: Tier,
  ): void;
  /** An answer starts. `over` or `passed` ends it. */
  started(): void;
  /**
   * An answer ended: the bytes of body sent, or a failure (the client left, or an error of this
   * node).
   */
  over(answer: {
    name: BlobName;
    offsetBytes: number;
    sentBytes: number;
    tier: Tier;
    failed: boolean;
    aborted: boolean;
    error: ErrorCode | null;
    startMs: number;
  }): void;
}
