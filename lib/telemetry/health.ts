/** Whether the node is ready; maintained by the node. */
export interface Readiness {
  phase: 'starting' | 'serving' | 'draining';
  /** Reasons why the node cannot serve, one line each. */
  problems: readonly string[];
  /** What is wrong around it while it serves, one line each. */
  warnings?: readonly string[];
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const JSON_TYPE = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
};

/**
 * Liveness: an answer is enough. A starting or draining node must not be killed.
 */
export function healthz(): Answer {
  return { status: 200, headers: JSON_TYPE, body: '{"status":"ok"}\n' };
}

/** Why the node is not ready; empty when it is. */
export function notReadyReasons(readiness: Readiness): string[] {
  if (readiness.phase === 'starting') return ['starting', ...readiness.problems];
  if (readiness.phase === 'draining') return ['draining', ...readiness.problems];
  return [...readiness.problems];
}

/** Ready: 200 when the node serves, with what it warns of; else 503 and the reasons. */
export function readyz(readiness: Readiness): Answer {
  const reasons = notReadyReasons(readiness);
  const ready = reasons.length === 0;
  const { warnings = [] } = readiness;
  const more = warnings.length === 0 ? {} : { warnings };
  return {
    status: ready ? 200 : 503,
    headers: JSON_TYPE,
    body: `${JSON.stringify({
      ...(ready ? { status: 'ready' } : { status: 'not ready', reasons }),
      ...more,
    })}\n`,
  };
}
