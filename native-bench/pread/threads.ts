import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { runLoad, type LoadPlan, type LoadTally } from './load.ts';

/** Runs each plan on a thread of its own; a single one on this. Resolves with all tallies. */
export async function runLoads(plans: readonly LoadPlan[]): Promise<LoadTally[]> {
  if (plans.length === 1) return [await runLoad(plans[0]!)];
  return Promise.all(
    plans.map(
      (plan) =>
        new Promise<LoadTally>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: plan });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
}

if (!isMainThread && parentPort !== null)
  parentPort.postMessage(await runLoad(workerData as LoadPlan));
