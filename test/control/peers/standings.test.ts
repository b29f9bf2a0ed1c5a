import assert from 'node:assert/strict';
import { PeerStandings } from '../../../lib/control/peers/standings.ts';
import type { ErrorCode } from '../../../lib/errors.ts';

describe('control/standings', () => {
  const NODE = '10.0.0.2:65002';
  let told: string[];
  let standings: PeerStandings;
  beforeEach(() => {
    told = [];
    standings = new PeerStandings((node, error) => told.push(`${node} ${error.code}`));
  });
  const fail = (code: ErrorCode): void => standings.failed(NODE, { code, message: 'no' });

  it('is unknown until something was heard from the node', () => {
    assert.equal(standings.stateOf(NODE, 'good'), 'unknown');
    fail('PEER_UNREACHABLE');
    assert.equal(standings.stateOf(NODE, 'good'), 'unknown');
    standings.answered(NODE);
    assert.equal(standings.stateOf(NODE, 'good'), 'up');
  });

  it('shows the conditions of the swarm core', () => {
    standings.answered(NODE);
    for (const condition of ['slow', 'cooling', 'quarantined'] as const)
      assert.equal(standings.stateOf(NODE, condition), condition);
    assert.equal(standings.stateOf('never seen:1', 'cooling'), 'cooling');
  });

  it('is unauthorized, said once, from a refusal until the next answer', () => {
    for (const code of ['PEER_UNAUTHORIZED', 'PEER_VERSION', 'PEER_ADDRESS'] as const) {
      fail(code);
      fail(code);
      assert.equal(standings.stateOf(NODE, 'cooling'), 'unauthorized', code);
      standings.answered(NODE);
      assert.equal(standings.stateOf(NODE, 'good'), 'up');
    }
    assert.deepEqual(told, [
      `${NODE} PEER_UNAUTHORIZED`,
      `${NODE} PEER_VERSION`,
      `${NODE} PEER_ADDRESS`,
    ]);
  });

  it('forgets nodes that are no members', () => {
    standings.answered(NODE);
    standings.keep([{ node: 'other:1' }]);
    assert.equal(standings.stateOf(NODE, 'good'), 'unknown');
  });
});
