import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BenchOrigin } from '../../native-bench/origin.ts';
import { makeLayer } from '../../native-bench/pipeline/layers.ts';
import { pull } from '../../native-bench/pipeline/pull.ts';
import { REPOSITORY, startDockerRegistry, TAG } from '../../native-bench/pipeline/registries.ts';
import { pullWithSkopeo } from '../../native-bench/pipeline/skopeo.ts';
import { Pattern } from '../../native-bench/pread/pattern.ts';
import { parseTarget } from '../../native-bench/pread/target.ts';
import { drawRows } from '../../native-bench/vs/picture.ts';
import { needs } from '../programs.ts';

const TOTAL_BYTES = 5_000_000;

describe('bench: a whole pull', () => {
  let origin: BenchOrigin;
  let url: string;

  before(async () => {
    origin = new BenchOrigin(5, TOTAL_BYTES);
    url = await origin.listen();
  });
  after(() => origin.close());

  it('reads every byte in its place, with its time', async () => {
    const pattern = new Pattern(5);
    let seen = 0;
    const { seconds, firstByteSeconds } = await pull(
      parseTarget(`${url}/any`, false),
      TOTAL_BYTES,
      (bytes, offsetBytes) => {
        assert.equal(offsetBytes, seen);
        seen += bytes.length;
        return pattern.holds(bytes, offsetBytes);
      },
    );
    assert.deepEqual([seen, origin.bytesSent, origin.requests], [TOTAL_BYTES, TOTAL_BYTES, 1]);
    assert.ok(firstByteSeconds > 0 && firstByteSeconds <= seconds);
  });

  it('fails on a wrong byte, and if there is no server', async () => {
    const wrong = new Pattern(6);
    await assert.rejects(
      pull(parseTarget(url, false), TOTAL_BYTES, (bytes, offsetBytes) =>
        wrong.holds(bytes, offsetBytes),
      ),
      /wrong bytes/,
    );
    await assert.rejects(
      pull(parseTarget('http://127.0.0.1:1/', false), TOTAL_BYTES, () => true),
      /ECONNREFUSED/,
    );
  });
});

describe('bench: a pull as runtimes do it', () => {
  it('counts the layers of the image, each verified, but not the warm-up', async function () {
    needs(this, 'docker-registry', 'skopeo');
    const dir = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
    const layers = [makeLayer(2, 300_000), makeLayer(3, 200_000)];
    const warm = makeLayer(1, 1000);
    const registry = await startDockerRegistry(dir, warm, layers, null);
    try {
      const image = `${new URL(registry.url).host}/${REPOSITORY}`;
      await pullWithSkopeo(`${image}:${TAG}`, join(dir, 'pulled'));
      const files = await readdir(join(dir, 'pulled'));
      assert.deepEqual(
        layers.map(({ digest }) => files.includes(digest.slice('sha256:'.length))),
        [true, true],
      );
      assert.ok(!files.includes(warm.digest.slice('sha256:'.length)));
      await assert.rejects(pullWithSkopeo(`${image}:none`, join(dir, 'none')), /manifest unknown/);
    } finally {
      await registry.process.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('bench: the picture', () => {
  it('has a bar for every row, the longest for the fastest', () => {
    const row = {
      sizeBytes: 65_536,
      tls: false,
      requestsPerSecond: 1,
      cpuSecondsPerGB: 0.3,
      p99Us: 1,
      p99UsHalfLoad: null,
      errors: 0,
      mismatches: 0,
      speedRatio: 1,
      cpuRatio: 1,
    };
    const svg = drawRows([
      { ...row, server: 'Shoal', gigabytesPerSecond: 2 },
      { ...row, server: 'nginx', gigabytesPerSecond: 1 },
    ]);
    const widths = [...svg.matchAll(/<rect x="190" y="\d+" width="([\d.]+)"/g)].map((match) =>
      Number(match[1]),
    );
    assert.deepEqual(widths, [360, 180]);
  });
});
