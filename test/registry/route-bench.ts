import assert from 'node:assert/strict';
import {
  classify,
  type Route,
  type RouteConfig,
  type RouteRequest,
} from '../../lib/registry/route.ts';

export const HEX = 'ab'.repeat(32);
export const DIGEST = `sha256:${HEX}`;

export const config: RouteConfig = {
  prefix: 'accelerator',
  allow: ['*.aliyuncs.com', 'registry-1.docker.io'],
  registries: [
    { p2pHost: 'mirror.example:65001', upstream: 'https://registry.example' },
    { p2pHost: 'plain.example', upstream: 'http://127.0.0.1:5000' },
    { upstream: 'https://default.example' },
  ],
};

export function route(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}): Route {
  return classify(
    { method: 'GET', rawPath: '/v2/', query: '', host: 'node:65001', ...request },
    { ...config, ...over },
  );
}

export function blob(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}) {
  const found = route(request, over);
  assert.equal(found.kind, 'blob', JSON.stringify(found));
  return (found as Extract<Route, { kind: 'blob' }>).target;
}

export function relay(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}) {
  const found = route(request, over);
  assert.equal(found.kind, 'relay', JSON.stringify(found));
  return found as Extract<Route, { kind: 'relay' }>;
}

export function refused(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}): string {
  const found = route(request, over);
  assert.equal(found.kind, 'refused', JSON.stringify(found));
  return (found as Extract<Route, { kind: 'refused' }>).error.code;
}
