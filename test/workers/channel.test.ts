import assert from 'node:assert/strict';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Channel } from '../../lib/workers/channel.ts';
import { until } from '../telemetry/until.ts';

describe('workers/channel', () => {
  let ours: MessagePort;
  let theirs: MessagePort;
  let batches: unknown[];

  beforeEach(() => {
    ({ port1: ours, port2: theirs } = new MessageChannel());
    batches = [];
    theirs.on('message', (batch) => batches.push(batch));
  });
  afterEach(() => {
    ours.close();
    theirs.close();
  });

  it('sends what was said within one turn as one message, in order', async () => {
    const channel = new Channel<number, never>(ours, () => assert.fail('nothing comes back'));
    for (const number of [1, 2, 3]) channel.send(number);
    await until(() => batches.length === 1, 'the first batch');
    channel.send(4);
    await until(() => batches.length === 2, 'the second batch');
    assert.deepEqual(batches, [[1, 2, 3], [4]]);
  });

  it('sends a message now, with what waits before it', async () => {
    const channel = new Channel<number, never>(ours, () => assert.fail('nothing comes back'));
    channel.send(1);
    channel.sendNow(2);
    channel.send(3);
    await until(() => batches.length === 2, 'both batches');
    assert.deepEqual(batches, [[1, 2], [3]]);
  });

  it('moves a buffer instead of copying it', async () => {
    const channel = new Channel<Uint8Array, never>(ours, () => undefined);
    const bytes = new Uint8Array(10).fill(7);
    channel.send(bytes, bytes.buffer);
    await until(() => batches.length === 1, 'the batch');
    assert.equal(bytes.byteLength, 0);
    assert.deepEqual(batches, [[new Uint8Array(10).fill(7)]]);
  });

  it('gives the receiver one message after the other', async () => {
    const heard: number[] = [];
    new Channel<never, number>(ours, (message) => heard.push(message));
    theirs.postMessage([1, 2]);
    theirs.postMessage([3]);
    await until(() => heard.length === 3, 'all three');
    assert.deepEqual(heard, [1, 2, 3]);
  });

  it('receives at once what an ended side has sent', () => {
    const heard: number[] = [];
    const channel = new Channel<never, number>(ours, (message) => heard.push(message));
    theirs.postMessage([1, 2]);
    theirs.postMessage([3]);
    theirs.close();
    channel.drain();
    assert.deepEqual(heard, [1, 2, 3]);
  });

  it('sends what is left when it is closed', async () => {
    const channel = new Channel<string, never>(ours, () => undefined);
    channel.send('last');
    channel.close();
    await until(() => batches.length === 1, 'the last word');
    assert.deepEqual(batches, [['last']]);
  });
});
