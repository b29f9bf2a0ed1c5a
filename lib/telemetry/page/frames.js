/** Script of one frame: style and painting of what it changes take ten times as long. */
const FRAME_WORK_MS = 3;
const jobs = new Map();
let frame = 0;

/**
 * Runs a generator over the next frames: each frame takes steps until its time is used. A new job
 * of an owner replaces the owner's last one.
 */
export function inFrames(owner, job) {
  jobs.set(owner, job);
  frame ||= requestAnimationFrame(work);
}

function work() {
  frame = 0;
  const startMs = performance.now();
  for (const [owner, job] of jobs) {
    while (!job.next().done) {
      if (performance.now() - startMs < FRAME_WORK_MS) continue;
      frame = requestAnimationFrame(work);
      return;
    }
    jobs.delete(owner);
  }
}
