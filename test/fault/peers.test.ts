import { vices } from './bad-peer.ts';
import { PullsBeside } from './beside.ts';

describe('fault/peers: a bad peer', () => {
  let beside: PullsBeside;

  before(async () => {
    beside = await PullsBeside.start();
  });
  after(() => beside.stop());

  for (const vice of vices) {
    it(`that ${vice} causes no wrong byte and a delay of a few seconds at most`, () =>
      beside.pull(vice));
  }
});
