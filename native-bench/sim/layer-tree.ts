import { EventQueue } from './event-queue.ts';
import { Flow, Network, Station, Supply } from './network.ts';
import { Random } from './random.ts';
import { percentile, type Report } from './report.ts';
import { MESSAGE_CPU_MS, RECEIVE_CPU_MS_PER_BYTE, SEND_CPU_MS_PER_BYTE } from './cluster.ts';

export interface LayerTreeOptions {
  nodes: number;
  layers: number[];
  linkBytesPerMs: number;
  originBytesPerMs: number;
  originFirstByteMs: number;
  delayMs: number;
  cores: number;
  spreadMs: number;
  quanta: number;
  /** Children of a node. */
  fanout: number;
  seed: number;
}

/** The unit of the old ways: a piece is passed on when it is there whole. */
const PIECE_BYTES = 2 * 1024 * 1024;

/** Pieces a child asks for before the first has come: enough to keep a parent's link busy. */
const PIPELINE_PIECES = 8;

/** Layers a runtime pulls at once. */
const PARALLEL_LAYERS = 3;

const piecesOf = (bytes: number): number => Math.ceil(bytes / PIECE_BYTES);

interface Peer {
  station: Station;
  startMs: number;
  finishedMs: number;
  layersLeft: number;
  waiting: number[];
}

/**
 * The old way: each layer has one tree, in which every node has one parent for the whole layer,
 * given when the layer is first asked for; pieces are stored whole before they are passed on. The
 * root of each tree reads from the origin. Assumed in its favour: no node fails, trees are complete
 * and balanced, each layer's tree has another order of nodes, and the fan-out is the one that suits
 * it best (2: with 1 it would be a chain of all nodes).
 */
export function runLayerTree(options: LayerTreeOptions): {
  report: Omit<Report, 'wallSeconds'>;
  seconds: number[];
} {
  const queue = new EventQueue();
  const random = new Random(options.seed);
  const network = new Network(queue, {
    delayMs: options.delayMs,
    sendCpuMsPerByte: SEND_CPU_MS_PER_BYTE,
    receiveCpuMsPerByte: RECEIVE_CPU_MS_PER_BYTE,
    messageCpuMs: MESSAGE_CPU_MS,
    cores: options.cores,
  });
  const origin = new Station('origin', options.originBytesPerMs, Infinity);
  const peers: Peer[] = Array.from({ length: options.nodes }, (_, at) => ({
    station: new Station(`node-${at}`, options.linkBytesPerMs, options.linkBytesPerMs),
    startMs: random.next() * options.spreadMs,
    finishedMs: Number.NaN,
    layersLeft: options.layers.length,
    waiting: options.layers.map((_bytes, layer) => layer),
  }));
  const ranks = options.layers.map(() => random.shuffled(peers.map((_, at) => at)));
  const places = ranks.map((rank) => {
    const place = new Int32Array(rank.length);
    rank.forEach((peer, at) => (place[peer] = at));
    return place;
  });
  const pieces = options.layers.map(piecesOf);
  const pieceBytes = (layer: number, piece: number): number =>
    Math.min(PIECE_BYTES, options.layers[layer]! - piece * PIECE_BYTES);
  const stores = options.layers.map((_, layer) =>
    peers.map(() =>
      Array.from(
        { length: pieces[layer]! },
        (_piece, piece) => new Supply(pieceBytes(layer, piece), options.quanta, false),
      ),
    ),
  );
  const whole = options.layers.map((_, layer) =>
    Array.from(
      { length: pieces[layer]! },
      (_piece, piece) => new Supply(pieceBytes(layer, piece), options.quanta, true),
    ),
  );
  let left = options.nodes;

  const beginLayer = (at: number): void => {
    const peer = peers[at]!;
    const layer = peer.waiting.shift();
    if (layer === undefined) return;
    const place = places[layer]![at]!;
    const parent = place === 0 ? null : ranks[layer]![Math.floor((place - 1) / options.fanout)]!;
    let next = 0;
    let done = 0;
    const more = (): void => {
      if (next >= pieces[layer]!) return;
      const piece = next++;
      const sink = stores[layer]![at]![piece]!;
      const flow = new Flow({
        from: parent === null ? origin : peers[parent]!.station,
        to: peer.station,
        supply: parent === null ? whole[layer]![piece]! : stores[layer]![parent]![piece]!,
        sink,
        unchecked: false,
        trusted: false,
        nowMs: queue.nowMs,
        ended: () => {
          sink.released = sink.quanta;
          network.wake(sink);
          more();
          if (++done < pieces[layer]!) return;
          if (--peer.layersLeft === 0) {
            peer.finishedMs = queue.nowMs;
            left--;
          }
          beginLayer(at);
        },
      });
      const afterMs = parent === null ? options.originFirstByteMs : 2 * options.delayMs;
      queue.at(queue.nowMs + afterMs, () => network.begin(flow), undefined);
    };
    for (let slot = 0; slot < PIPELINE_PIECES; slot++) more();
  };
  peers.forEach((peer, at) => {
    for (let slot = 0; slot < PARALLEL_LAYERS; slot++)
      queue.at(peer.startMs, () => beginLayer(at), undefined);
  });
  queue.run(() => left === 0);

  return reportOf(options, peers, origin.sentBytes, left);
}

function reportOf(
  options: LayerTreeOptions,
  peers: readonly Peer[],
  originBytes: number,
  unfinished: number,
): { report: Omit<Report, 'wallSeconds'>; seconds: number[] } {
  const seconds = peers
    .map(({ startMs, finishedMs }) => (finishedMs - startMs) / 1000)
    .toSorted((a, b) => a - b);
  const imageBytes = options.layers.reduce((sum, bytes) => sum + bytes, 0);
  const uploads = peers.map(({ station }) => station.sentBytes);
  const mean = uploads.reduce((sum, bytes) => sum + bytes, 0) / uploads.length;
  return {
    seconds,
    report: {
      mode: 'layer-tree',
      seed: options.seed,
      nodes: options.nodes,
      imageBytes,
      idealSeconds:
        Math.max(imageBytes / options.linkBytesPerMs, imageBytes / options.originBytesPerMs) / 1000,
      p50Seconds: percentile(seconds, 0.5),
      p95Seconds: percentile(seconds, 0.95),
      p99Seconds: percentile(seconds, 0.99),
      maxSeconds: percentile(seconds, 1),
      originBytes,
      originPeakGbps:
        (Math.min(
          options.originBytesPerMs,
          options.linkBytesPerMs * Math.min(PARALLEL_LAYERS, options.layers.length),
        ) *
          8) /
        1e6,
      originRequests: options.layers.reduce((sum, bytes) => sum + piecesOf(bytes), 0),
      uploadMaxOverMean: mean === 0 ? 0 : Math.max(...uploads) / mean,
      messagesPerShard: 1,
      depthMax: Math.ceil(
        Math.log(options.nodes * (options.fanout - 1) + 1) /
          Math.log(Math.max(options.fanout, 1.000001)),
      ),
      unfinished,
      failedReads: 0,
    },
  };
}
