/** Script of one frame. */
const FRAME_WORK_MS = 3;
/** Elements that one frame changes: style and painting take ten times as long as the script. */
const FRAME_CHANGES = 64;
const jobs = new Map();
let frame = 0;

/**
 * Runs a generator over the next frames: each frame takes steps until its time or its changes are
 * used. A step yields how many elements it has changed. A new job of an owner replaces the owner's
 * last one.
 */
export function inFrames(owner, job) {
  jobs.set(owner, job);
  frame ||= requestAnimationFrame(work);
}

function work() {
  frame = 0;
  const startMs = performance.now();
  let changes = 0;
  for (const [owner, job] of jobs) {
    for (let step = job.next(); !step.done; step = job.next()) {
      changes += step.value;
      if (changes < FRAME_CHANGES && performance.now() - startMs < FRAME_WORK_MS) continue;
      frame = requestAnimationFrame(work);
      return;
    }
    jobs.delete(owner);
  }
}
