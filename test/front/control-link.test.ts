import assert from 'node:assert/strict';
import { MessageChannel } from 'node:worker_threads';
import { ControlLink } from '../../lib/front/control-link.ts';
import { Channel } from '../../lib/workers/channel.ts';
import type { BlobName, ControlMessage, FrontMessage } from '../../lib/workers/messages.ts';
import { until } from '../telemetry/until.ts';

const BLOB = { key: 'k' } as BlobName;
const REQUEST = {
  authorization: null,
  shard: 0,
  sliceBytes: 0,
  untilShard: null,
  sequential: true,
  small: false,
  requestId: '',
};

describe('front/control-link', () => {
  let link: ControlLink;
  let control: Channel<ControlMessage, FrontMessage>;
  let heard: FrontMessage[];
  let drains: number[];

  beforeEach(() => {
    const { port1, port2 } = new MessageChannel();
    [heard, drains] = [[], []];
    link = new ControlLink(port1, {
      drain: (deadlineMs) => void drains.push(deadlineMs),
      certificate: () => undefined,
      routes: () => undefined,
      connections: () => undefined,
    });
    control = new Channel(port2, (message) => heard.push(message));
  });
  afterEach(() => {
    link.shut();
    control.close();
  });

  const miss = (id: number): ControlMessage => ({ kind: 'peer', id, answer: { kind: 'miss' } });

  it('numbers what it asks, and hands each answer to who asked', async () => {
    const got: string[] = [];
    const ids = ['a', 'b', 'c'].map((name) => link.open(BLOB, REQUEST, () => got.push(name)));
    assert.equal(new Set(ids).size, 3);
    for (const id of [ids[2]!, ids[0]!, ids[2]!]) control.send(miss(id));
    await until(() => got.length === 3, 'the answers');
    assert.deepEqual(got, ['c', 'a', 'c']);
  });

  it('hears nothing more of what is closed, and says "close" once', async () => {
    const got: string[] = [];
    const first = link.open(BLOB, REQUEST, () => got.push('first'));
    const second = link.open(BLOB, REQUEST, () => got.push('second'));
    link.close(first, true, 7);
    link.close(first, true, 7);
    control.send(miss(first));
    control.send(miss(second));
    await until(() => got.length > 0 && heard.length >= 3, 'the answer');
    assert.deepEqual(got, ['second']);
    assert.deepEqual(
      heard.filter((message) => message.kind === 'close'),
      [{ kind: 'close', id: first, whole: true, sentBytes: 7 }],
    );
  });

  it('hears one answer to what has only one', async () => {
    let [pages, others] = [0, 0];
    link.page({ path: '/', query: '', isLocal: true, authorization: '' }, () => pages++);
    link.open(BLOB, REQUEST, () => others++);
    await until(() => heard.length === 2, 'the questions');
    const [page, open] = heard as { id: number }[];
    for (const id of [page!.id, page!.id, open!.id]) control.send(miss(id));
    await until(() => others === 1, 'the last answer');
    assert.equal(pages, 1);
  });

  it('passes on the word to drain, which answers nobody', async () => {
    control.send({ kind: 'drain', deadlineMs: 500 });
    await until(() => drains.length === 1, 'the word');
    assert.deepEqual(drains, [500]);
  });
});
