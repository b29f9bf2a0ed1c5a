import type { Answer } from './health.ts';

/** The live page, GET /. */
export function pageAnswer(): Answer {
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<!doctype html><title>Shoal</title>' };
}
