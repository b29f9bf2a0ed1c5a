import { LINE_TEST_BYTES } from '../../lib/limits.ts';
import { LineMeter } from '../../lib/swarm/line-meter.ts';
import type { LineTest } from '../../lib/swarm/types.ts';
import { Flow, type Station, Supply } from './network.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** Parts in which each node sends its bytes. */
const QUANTA = 512;

/** A test of a simulated node's line: others send it bytes of no meaning, all at the same time. */
export class SimLineTest {
  readonly #world: World<SimNode>;
  readonly #node: SimNode;
  readonly #meter: LineMeter;
  readonly #told: (test: LineTest) => void;
  readonly #flows: Flow[] = [];
  #isOver = false;

  constructor(world: World<SimNode>, node: SimNode, told: (test: LineTest) => void) {
    this.#world = world;
    this.#node = node;
    this.#told = told;
    this.#meter = new LineMeter(world.nowMs());
    this.#look();
  }

  /** Asks the nodes to send. */
  ask(names: readonly string[]): void {
    const gone = (): void => undefined;
    for (const name of names) {
      const node = this.#world.node(name);
      this.#world.exchange(this.#node, node, () => this.#from(node.station), gone, gone);
    }
  }

  #from(station: Station): void {
    if (this.#isOver) return;
    const flow = new Flow({
      from: station,
      to: this.#node.station,
      supply: new Supply(LINE_TEST_BYTES, QUANTA, true),
      sink: new Supply(LINE_TEST_BYTES, QUANTA, false),
      unchecked: true,
      trusted: true,
      nowMs: this.#world.nowMs(),
      ended: () => undefined,
    });
    flow.came = () => {
      const nowMs = this.#world.nowMs();
      this.#meter.came(LINE_TEST_BYTES / QUANTA, nowMs);
      if (this.#meter.leftMs(nowMs) === 0) this.#end();
    };
    this.#flows.push(flow);
    this.#world.network.begin(flow);
  }

  #look(): void {
    const leftMs = this.#meter.leftMs(this.#world.nowMs());
    if (leftMs === 0) this.#end();
    else if (!this.#isOver) this.#world.after(leftMs, () => this.#look());
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const flow of this.#flows) this.#world.network.end(flow);
    this.#told(this.#meter.result);
  }
}
