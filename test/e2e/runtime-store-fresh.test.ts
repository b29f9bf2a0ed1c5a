import assert from 'node:assert/strict';
import { needs } from '../programs.ts';
import { StoreSwarm, type PushedImage } from './runtime-store-swarm.ts';

const MIB = 1024 * 1024;
/** Config and manifest. */
const BESIDE_LAYERS = 2;
const LAYERS_BYTES = [12, 7, 5].map((mib) => mib * MIB);

describe('e2e: what was pulled without Shoal', function () {
  this.timeout(120_000);
  let swarm: StoreSwarm;
  let image: PushedImage;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc');
    swarm = await StoreSwarm.start();
    await swarm.begin(3);
  });
  beforeEach(async () => {
    image = await swarm.image(LAYERS_BYTES);
    await swarm.pullDirectly(0, image);
    swarm.counting.reset();
  });
  after(async () => {
    await swarm?.end();
    await swarm?.stop();
  });

  it('saves from the first pull after an installation', async () => {
    await Promise.all([0, 1, 2].map((index) => swarm.node(index)));
    await swarm.offered(0, image.layers.length + BESIDE_LAYERS);
    await swarm.pull(1, image);
    await swarm.pull(2, image);
    assert.equal(swarm.originBytes(image), 0);
  });

  it('is read from the registry when the node that has it goes away', async () => {
    await swarm.stopNode(0, 'kill');
    await swarm.node(0);
    await swarm.offered(0, 2 * (image.layers.length + BESIDE_LAYERS));
    await swarm.stopNode(0, 'kill');
    await swarm.pull(1, image);
  });
});
