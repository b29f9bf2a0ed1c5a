import { parentPort, workerData } from 'node:worker_threads';
import { ObjectStore } from './object-store.ts';

/**
 * An object store on a thread of its own, so that what it does for one request is not in the way of
 * who measures another.
 */
const { seed, totalBytes, urls } = workerData as { seed: number; totalBytes: number; urls: number };
const store = new ObjectStore({ seed, totalBytes });
await store.listen();
parentPort!.postMessage({
  host: store.host,
  urls: Array.from({ length: urls }, (_, user) => store.sign(`node-${user}`, 3_600_000)),
});
parentPort!.on('message', () =>
  parentPort!.postMessage({ bytesSent: store.bytesSent, requests: store.requests.length }),
);
