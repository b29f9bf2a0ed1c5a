import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { preadPath } from '../../lib/wire/pread.ts';
import type { ShoalNode } from '../e2e/node.ts';
import { PRIVATE, type BesiegedRegistry } from './registry.ts';

/** An attacker waits this long for the end of an answer, then drops it. */
const ATTACK_MS = 3_000;

interface Target {
  node: ShoalNode;
  registry: BesiegedRegistry;
  /** A digest whose blob only the owner may read. */
  digest: string;
}

/**
 * What somebody does who reaches the ports of a node but has no right. Each resolves with the bytes
 * of the bodies that it got.
 */
export const ATTACKS: Record<string, (target: Target) => Promise<Buffer>> = {
  withoutCredential: ({ node, digest }) => body(node, `/v2/${PRIVATE}/blobs/${digest}`),
  withAnothersCredential: ({ node, digest }) =>
    body(node, `/v2/${PRIVATE}/blobs/${digest}`, {
      authorization: `Bearer ${Math.random().toString(36).repeat(4)}`,
    }),
  throughAnotherRepository: ({ node, digest }) => body(node, `/v2/team/mine/blobs/${digest}`),
  ownHostUnderTheDigest: ({ node, registry, digest }) =>
    body(node, `/accelerator/http://${registry.strangerHost}${registry.storagePath(digest)}?own`),
  ownHostThatDrips: ({ node, registry, digest }) =>
    body(node, `/accelerator/http://${registry.strangerHost}${registry.storagePath(digest)}?drip`),
  ownHostAsRegistry: ({ node, registry, digest }) =>
    body(node, `/v2/x/blobs/${digest}?ns=${registry.strangerHost}`),
  wrongSignature: ({ node, registry, digest }) =>
    body(
      node,
      `/accelerator/http://${registry.storageHost}${registry.storagePath(digest)}?Signature=bad`,
    ),
  longQueries: ({ node, registry, digest }) =>
    body(
      node,
      `/accelerator/http://${registry.storageHost}${registry.storagePath(digest)}` +
        `?${'x'.repeat(60_000)}`,
    ),
  unsignedPeer: ({ node, digest }) => bodyAt(node.p2pPort, preadOf(digest)),
  badlySignedPeer: ({ node, digest }) =>
    bodyAt(node.p2pPort, preadOf(digest), {
      'shoal-version': '1.0',
      'shoal-auth': `1 ${Date.now()} ${'ab'.repeat(32)}`,
    }),
  garbage: ({ node }) => raw(node.proxyPort, '\x16\x03\x01\xff\xff'.repeat(2_000)),
  halfARequest: ({ node, digest }) =>
    raw(node.proxyPort, `GET /v2/${PRIVATE}/blobs/${digest} HTTP/1.1\r\nHost: x\r\nX-A: `),
  endlessHead: ({ node }) => raw(node.p2pPort, `GET / HTTP/1.1\r\n${'X-A: b\r\n'.repeat(20_000)}`),
};

function preadOf(digest: string): string {
  return preadPath({
    ...{ key: digest, shard: 0, fromBytes: 0, node: '127.0.0.1:1', zone: null, role: 'parent' },
    ...{ exclude: [], hops: 0, load: 0, holdMs: 1_000 },
  });
}

const body = (node: ShoalNode, path: string, headers?: Record<string, string>): Promise<Buffer> =>
  bodyAt(node.proxyPort, path, headers);

function bodyAt(port: number, path: string, headers: Record<string, string> = {}): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const end = (): void => resolve(Buffer.concat(chunks));
    const request = get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', end).on('error', end);
    });
    request.on('error', end).on('close', end);
    request.setTimeout(ATTACK_MS, () => request.destroy());
    void after(2 * ATTACK_MS, undefined, { ref: false }).then(() => request.destroy());
  });
}

function raw(port: number, text: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
    void after(ATTACK_MS, undefined, { ref: false }).then(() => socket.destroy());
  });
}
