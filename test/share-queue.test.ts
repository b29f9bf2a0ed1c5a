import assert from 'node:assert/strict';
import { LOCAL, ShareQueue, UNVOUCHED, type Share } from '../lib/share-queue.ts';

interface Item {
  name: string;
  share: Share;
}

describe('share-queue', () => {
  let queue: ShareQueue<Item>;
  beforeEach(() => {
    queue = new ShareQueue({
      ask: { lane: 8, upstream: 4, unvouched: 3, client: 2 },
    });
  });
  const push = (
    count: number,
    upstream: string,
    client = '',
    lane: Share['lane'] = 'ask',
  ): void => {
    const share = lane === 'local' ? LOCAL : { lane, upstream, client };
    for (let item = 0; item < count; item++)
      queue.push({ name: lane === 'local' ? lane : upstream + client, share });
  };
  const takeAll = (): string[] => {
    const taken: string[] = [];
    for (let item = queue.take(); item !== null; item = queue.take()) taken.push(item.name);
    return taken;
  };

  it('lets no client, upstream or lane have more than its share', () => {
    push(9, 'r', '1');
    assert.deepEqual(takeAll(), ['r1', 'r1']);
    push(9, 'r', '2');
    push(9, 'r', '3');
    assert.deepEqual(takeAll(), ['r2', 'r3']);
    push(2, UNVOUCHED, '1');
    push(2, UNVOUCHED, '2');
    assert.equal(takeAll().length, 3);
    push(2, 'other');
    assert.deepEqual(takeAll(), ['other'], 'the lane is full');
    push(50, '', '', 'local');
    assert.equal(takeAll().length, 50);
  });

  it('gives a share that is over to the next of it', () => {
    push(3, 'r');
    takeAll();
    queue.over({ lane: 'ask', upstream: 'r', client: '' });
    assert.deepEqual(takeAll(), ['r']);
    assert.equal(queue.size, 0);
  });

  it('takes from clients in turn, and from the local lane first', () => {
    push(2, 'r', '1');
    push(2, 'r', '2');
    push(1, '', '', 'local');
    assert.deepEqual(takeAll(), ['local', 'r1', 'r2', 'r1', 'r2']);
  });

  it('has no limits where none are set', () => {
    push(100, 'r', '', 'read');
    assert.equal(takeAll().length, 100);
  });

  it('drops what is removed or has expired, without using a share', () => {
    push(4, 'r');
    queue.remove(queue.peek()!);
    assert.equal(queue.expire(() => true).length, 3);
    assert.deepEqual([queue.size, queue.peek(), takeAll()], [0, null, []]);
    push(2, 'r');
    assert.equal(takeAll().length, 2);
  });
});
