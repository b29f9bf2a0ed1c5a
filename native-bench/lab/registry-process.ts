import { createInterface } from 'node:readline';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';

/** The first line that the process prints. */
export interface LabOrigin {
  url: string;
  authorization: string;
  repository: string;
  tag: string;
  blobs: { digest: string; sizeBytes: number }[];
}

/** What it prints for each line it reads. */
export interface OriginTraffic {
  bytes: number;
  requests: number;
  shardRequestsMax: number;
}

// `registry-process.ts HOST SEED LAYER_SIZES` (JSON): a registry with one sample image, until its
// standard input closes.
const [host = '', seed = '', sizes = '[]'] = process.argv.slice(2);
const image = await makeSampleImage(`lab ${seed}`, JSON.parse(sizes) as number[]);
const registry = await DemoRegistry.start(image, undefined, host);
const { username, password } = registry.credentials;
const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
const answer = await fetch(`${registry.url}/token?scope=repository:${image.repository}:pull`, {
  headers: { authorization: basic },
});
const { token } = (await answer.json()) as { token: string };
const origin: LabOrigin = {
  url: registry.url,
  authorization: `Bearer ${token}`,
  repository: image.repository,
  tag: image.tag,
  blobs: image.blobs.map(({ digest, bytes }) => ({ digest, sizeBytes: bytes.length })),
};
console.log(JSON.stringify(origin));
createInterface(process.stdin)
  .on('line', () => {
    const { blobs, shardRequestsMax } = registry.traffic;
    const traffic: OriginTraffic = { ...blobs, shardRequestsMax };
    console.log(JSON.stringify(traffic));
  })
  .on('close', () => process.exit(0));
