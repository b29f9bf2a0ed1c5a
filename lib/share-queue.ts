/** On whom something depends (a job, a slot of memory), and for whom it is. */
export interface Share {
  /**
   * `local`: the disk, other nodes and this node's own questions; `read`: bytes from an upstream;
   * `ask`: access checks and relayed requests.
   */
  lane: 'local' | 'read' | 'ask';
  /** `host[:port]` that answers, or UNVOUCHED for all hosts that no registry vouches for. */
  upstream: string;
  /** Who asks: a name for equal credentials. */
  client: string;
}

/** Jobs at once. */
interface ShareLimits {
  lane: number;
  /** Of one upstream in the lane. */
  upstream: number;
  /** Of all hosts together that no registry vouches for: whoever names them decides how many. */
  unvouched: number;
  /** Of one client at one upstream in the lane. */
  client: number;
}

/** A lane without limits is left out. */
export type ShareTable = Readonly<Partial<Record<'read' | 'ask', ShareLimits>>>;

export const UNVOUCHED = 'unvouched';
export const LOCAL: Share = { lane: 'local', upstream: '', client: '' };

/** A share with its name and the places it takes, each with its limit. */
interface Placed {
  share: Share;
  name: string;
  places: readonly (readonly [place: string, limit: number])[];
}

interface Group<Item> {
  placed: Placed;
  items: Item[];
}

/**
 * A queue in which those who depend on somebody else's answer have shares: per lane, per upstream
 * and per client. One silent upstream, or a client that floods it, holds up nobody else. The local
 * lane goes first and has no limit, so it always has what the other lanes leave. Groups of equal
 * share take turns; within a group the order is that of arrival.
 */
export class ShareQueue<Item extends { share: Share }> {
  readonly #table: ShareTable;
  readonly #groups = new Map<string, Group<Item>>();
  readonly #used = new Map<string, number>();
  /** Of the share asked for last: the jobs of one blob come one after another. */
  #last: Placed | null = null;
  #size = 0;

  constructor(table: ShareTable = {}) {
    this.#table = table;
  }

  /** Items that wait. */
  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    const placed = this.#placed(item.share);
    const group = this.#groups.get(placed.name);
    if (group === undefined) this.#groups.set(placed.name, { placed, items: [item] });
    else group.items.push(item);
    this.#size++;
  }

  /** Removes an item that waits. */
  remove(item: Item): void {
    const { name } = this.#placed(item.share);
    const group = this.#groups.get(name);
    const at = group?.items.indexOf(item) ?? -1;
    if (group === undefined || at < 0) return;
    group.items.splice(at, 1);
    this.#size--;
    if (group.items.length === 0) this.#groups.delete(name);
  }

  /** How many items of this share wait. */
  waiting(share: Share): number {
    return this.#groups.get(this.#placed(share).name)?.items.length ?? 0;
  }

  /** The next item that may begin, or null. */
  peek(): Item | null {
    return this.#next()?.items[0] ?? null;
  }

  /** Takes the next item that may begin, or null. Its share is used until `over`. */
  take(): Item | null {
    const group = this.#next();
    if (group === null) return null;
    for (const [place] of group.placed.places)
      this.#used.set(place, (this.#used.get(place) ?? 0) + 1);
    return this.#shift(group);
  }

  /** Removes those at the head of a group for which `isOver`; they use no share. */
  expire(isOver: (item: Item) => boolean): Item[] {
    const expired: Item[] = [];
    for (const group of [...this.#groups.values()])
      while (group.items[0] !== undefined && isOver(group.items[0]))
        expired.push(this.#shift(group));
    return expired;
  }

  #next(): Group<Item> | null {
    if (this.#groups.size === 0) return null;
    const local = this.#groups.get(LOCAL_PLACED.name);
    if (local !== undefined) return local;
    for (const group of this.#groups.values())
      if (group.placed.places.every(([place, max]) => (this.#used.get(place) ?? 0) < max))
        return group;
    return null;
  }

  /** An item that was taken is done. */
  over(share: Share): void {
    for (const [place] of this.#placed(share).places) {
      const left = this.#used.get(place)! - 1;
      if (left === 0) this.#used.delete(place);
      else this.#used.set(place, left);
    }
  }

  #shift(group: Group<Item>): Item {
    const { name } = group.placed;
    const item = group.items.shift()!;
    this.#size--;
    // The other groups come first next time.
    this.#groups.delete(name);
    if (group.items.length > 0) this.#groups.set(name, group);
    return item;
  }

  #placed(share: Share): Placed {
    const { lane, upstream, client } = share;
    if (lane === 'local') return LOCAL_PLACED;
    const last = this.#last?.share;
    if (lane === last?.lane && upstream === last.upstream && client === last.client)
      return this.#last!;
    const name = `${lane} ${upstream} ${client}`;
    const limits = this.#table[lane];
    const places: Placed['places'] =
      limits === undefined
        ? []
        : [
            [lane, limits.lane],
            [`${lane} ${upstream}`, upstream === UNVOUCHED ? limits.unvouched : limits.upstream],
            [name, limits.client],
          ];
    return (this.#last = { share, name, places });
  }
}

const LOCAL_PLACED: Placed = { share: LOCAL, name: 'local', places: [] };
