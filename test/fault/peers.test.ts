import { vices } from './bad-peer.ts';
import { PullsBeside } from './beside.ts';

describe('fault/peers: a bad peer', () => {
  let beside: PullsBeside;

  before(async () => {
    beside = await PullsBeside.start();
  });
  after(() => beside.stop());

  for (const vice of vices) {
    it(`that ${vice} costs no client a wrong byte, nor more than a few seconds`, () =>
      beside.pull(vice));
  }
});
