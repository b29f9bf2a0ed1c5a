import { DemoRegistry } from '../../lib/demo/registry.ts';
import { layerPieces, type Layer } from './layers.ts';

// `registry-process.ts REPOSITORY LAYERS`: serves the layers (JSON) until it is ended; one line of
// JSON says where, and with which token.
const [repository = '', json = '[]'] = process.argv.slice(2);
const blobs = (JSON.parse(json) as Layer[]).map(({ seed, lengthBytes, digest }) => {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  let at = 0;
  for (const piece of layerPieces(seed, lengthBytes)) at += piece.copy(bytes, at);
  return { digest, mediaType: 'application/octet-stream', bytes };
});
const manifest = { digest: 'sha256:none', mediaType: 'application/json', bytes: Buffer.from('{}') };
const registry = await DemoRegistry.start({ repository, tag: 'latest', manifest, blobs });
const { username, password } = registry.credentials;
const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
const answer = await fetch(`${registry.url}/token?scope=repository:${repository}:pull`, {
  headers: { authorization: basic },
});
const { token } = (await answer.json()) as { token: string };
console.log(JSON.stringify({ url: registry.url, authorization: `Bearer ${token}` }));
process.stdin.on('end', () => process.exit(0)).resume();
