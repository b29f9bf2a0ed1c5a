import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { defaultCluster } from '../../native-bench/sim/cluster.ts';
import { defaultPuller } from '../../native-bench/sim/puller.ts';
import { noFaults, runShoal } from '../../native-bench/sim/shoal.ts';
import { noise } from './image.ts';
import { StoreSwarm, writtenBytes } from './runtime-store-swarm.ts';

/*
 * The simulator's disk model beside a real disk: containerd pulls an image through a node, with the
 * runtime's content store and without it in turns, on a file system of its own whose device is
 * throttled (a loop device, cgroup v1 blkio). Needs root: `node test/e2e/runtime-store-disk.ts`.
 */
const MIB = 1024 * 1024;
const THROTTLE = '/sys/fs/cgroup/blkio/blkio.throttle';
const SECTOR_BYTES = 512;
/**
 * Dirty bytes of the device from which the kernel holds writers back; it begins to write at half of
 * them. Its own bounds are 20 % and 10 % of the free memory: on a machine where an image fits in
 * there, the disk does nothing until a layer is committed.
 */
const DIRTY_BYTES = 128 * MIB;
/** How often it is looked whether the device works; below this share of its rate it does not. */
const LOOK_MS = 500;
const IDLE_SHARE = 0.1;
/** How long the device's rate is measured. */
const RATE_SECONDS = 5;
const LINK_BYTES_PER_MS = 10e9 / 8 / 1000;

const options = new Command('runtime-store-disk')
  .option('--mib <n>', 'size of the image', '2048')
  .option(
    '--layers <n>',
    'layers of equal size; each more is copied by the native snapshotter',
    '1',
  )
  .option('--rate <n>', 'MB/s that the device takes', '60')
  .option('--runs <n>', 'turns', '3')
  .parse()
  .opts<Record<'mib' | 'layers' | 'rate' | 'runs', string>>();
const [imageMib, layers, rateMbps, runs] = [
  Number(options.mib),
  Number(options.layers),
  Number(options.rate),
  Number(options.runs),
];

interface Run {
  seconds: number;
  /** Bytes over those of the image. */
  agentWrote: number;
  deviceWrote: number;
  deviceRead: number;
  /** Time in which the device had nearly nothing to do: something else was the limit. */
  idleSeconds: number;
}

/** A file system on a device of its own, throttled. */
class Disk {
  readonly dir: string;
  readonly #home: string;
  readonly #device: string;
  readonly #number: string;
  readonly #bdi: string;

  constructor(home: string, sizeMib: number) {
    this.#home = home;
    const file = join(home, 'disk');
    execFileSync('fallocate', ['--length', `${sizeMib}MiB`, file]);
    this.#device = run('losetup', '--find', '--show', '--direct-io=on', file);
    this.#number = run('lsblk', '--noheadings', '--nodeps', '--output', 'MAJ:MIN', this.#device);
    run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.#device);
    this.dir = join(home, 'mounted');
    execFileSync('mkdir', [this.dir]);
    run('mount', this.#device, this.dir);
    this.#throttle(rateMbps * 1e6);
    this.#bdi = join('/sys/class/bdi', this.#number);
    writeFileSync(join(this.#bdi, 'max_bytes'), `${DIRTY_BYTES}`);
    writeFileSync(join(this.#bdi, 'strict_limit'), '1');
  }

  /** Bytes written and read by the device so far. */
  get bytes(): { written: number; read: number } {
    const name = this.#device.slice('/dev/'.length);
    const fields = readFileSync(`/sys/block/${name}/stat`, 'utf8').trim().split(/\s+/).map(Number);
    return { read: fields[2]! * SECTOR_BYTES, written: fields[6]! * SECTOR_BYTES };
  }

  /** Everything is on the device, and nothing of it in memory. */
  settle(): void {
    run('sync', '--file-system', this.dir);
    writeFileSync('/proc/sys/vm/drop_caches', '3');
  }

  /** What the device really takes, MB/s: throttles are coarse, and the machine has other work. */
  rate(): number {
    const file = join(this.dir, 'rate');
    const piece = noise(MIB, 1);
    const pieces = Math.ceil((rateMbps * RATE_SECONDS * 1e6) / MIB);
    const fd = openSync(file, 'w');
    const beganMs = performance.now();
    for (let at = 0; at < pieces; at++) writeSync(fd, piece);
    fsyncSync(fd);
    const tookMs = performance.now() - beganMs;
    closeSync(fd);
    rmSync(file);
    return (pieces * piece.length) / tookMs / 1000;
  }

  /** Counts the time in which the device idles until the function it returns is called. */
  watchIdle(): () => number {
    let idleMs = 0;
    let [lookedMs, before] = [performance.now(), this.bytes];
    const timer = setInterval(() => {
      const [nowMs, now] = [performance.now(), this.bytes];
      const moved = now.written - before.written + now.read - before.read;
      const couldMove = (nowMs - lookedMs) * rateMbps * 1000;
      if (moved < IDLE_SHARE * couldMove) idleMs += nowMs - lookedMs;
      [lookedMs, before] = [nowMs, now];
    }, LOOK_MS);
    return () => {
      clearInterval(timer);
      return idleMs / 1000;
    };
  }

  close(): void {
    this.#throttle(0);
    writeFileSync(join(this.#bdi, 'strict_limit'), '0');
    writeFileSync(join(this.#bdi, 'max_ratio'), '100');
    run('umount', this.dir);
    run('losetup', '--detach', this.#device);
    rmSync(this.#home, { recursive: true });
  }

  #throttle(bytesPerSecond: number): void {
    for (const what of ['write', 'read'])
      writeFileSync(`${THROTTLE}.${what}_bps_device`, `${this.#number} ${bytesPerSecond}`);
  }
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' }).trim();
}

/** Seconds by the simulator's model of a disk; the layer is read back from the page cache. */
function simulated(pullPasses: number, bytesPerMs: number): number {
  const { report } = runShoal({
    cluster: {
      ...defaultCluster,
      nodes: 1,
      roots: 0,
      layers: layerBytes(),
      linkBytesPerMs: LINK_BYTES_PER_MS,
      originBytesPerMs: LINK_BYTES_PER_MS,
      seed: 1,
    },
    puller: { ...defaultPuller, pullPasses, unpackPasses: 1, diskBytesPerMs: bytesPerMs },
    faults: noFaults,
    spreadMs: 0,
    deadlineMs: 3_600_000,
  });
  return report.maxSeconds;
}

function layerBytes(): number[] {
  return Array.from({ length: layers }, () => Math.round((imageMib * MIB) / layers));
}

const home = await mkdtemp(join(tmpdir(), 'shoal-disk-'));
const disk = new Disk(home, 4 * imageMib + 2_048);
const swarm = await StoreSwarm.start(undefined, disk.dir);
const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
try {
  const image = await swarm.image(layerBytes());
  const done: Record<'store' | 'off', Run[]> = { store: [], off: [] };
  const rates: number[] = [];
  for (let turn = 0; turn < Number(runs); turn++)
    for (const setting of ['store', 'off'] as const) {
      await swarm.begin(1);
      const capacity = (imageMib + 512) * MIB;
      const off = setting === 'off' ? { runtimeStore: 'off' } : {};
      const node = await swarm.node(0, { capacity, memory: 256 * MIB, ...off });
      disk.settle();
      rates.push(disk.rate());
      disk.settle();
      const [before, agentBefore] = [disk.bytes, await writtenBytes(node)];
      const idle = disk.watchIdle();
      const beganMs = performance.now();
      await swarm.pull(0, image, 1_200_000);
      run('sync', '--file-system', disk.dir);
      const seconds = (performance.now() - beganMs) / 1000;
      const after = disk.bytes;
      done[setting].push({
        seconds,
        agentWrote: ((await writtenBytes(node)) - agentBefore) / image.blobBytes,
        deviceWrote: (after.written - before.written) / image.blobBytes,
        deviceRead: (after.read - before.read) / image.blobBytes,
        idleSeconds: idle(),
      });
      console.log(setting, `disk ${rates.at(-1)!.toFixed(1)} MB/s`, done[setting].at(-1));
      await swarm.end();
    }
  const rate = median(rates);
  for (const [setting, passes] of [
    ['store', 1],
    ['off', 2],
  ] as const) {
    const real = median(done[setting].map(({ seconds }) => seconds));
    const model = simulated(passes, rate * 1000);
    console.log(
      `${setting}: ${real.toFixed(1)} s, simulated ${model.toFixed(1)} s at ${rate.toFixed(1)} ` +
        `MB/s: ${((real / model - 1) * 100).toFixed(0)} %`,
    );
  }
} finally {
  await swarm.end();
  await swarm.stop();
  disk.close();
}
