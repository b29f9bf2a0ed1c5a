import type { NodeId } from './types.ts';

/** The senders of the parts of a shard: a trusted prefix, and the nodes that sent the rest. */
export class Provenance {
  #originBytes = 0;
  #trustedBytes = 0;
  #allTrusted = true;
  #fromOrigin = false;
  #lastPeer: NodeId | null = null;
  #suspects: NodeId[] = [];
  #allChecked = true;
  /** The node that vouched for the trusted prefix; null: the origin. */
  readonly #vouchers = new Set<NodeId | null>();

  /** Length of the prefix that came from the origin, a root or the owner itself. */
  get trustedBytes(): number {
    return this.#trustedBytes;
  }

  /** Length of the prefix that came from the origin itself. */
  get originBytes(): number {
    return this.#originBytes;
  }

  get allTrusted(): boolean {
    return this.#allTrusted;
  }

  /** Whether one owner, root or origin sent the whole trusted prefix. */
  get isOfOneVoucher(): boolean {
    return this.#vouchers.size <= 1;
  }

  /** Whether any byte came from the origin. */
  get fromOrigin(): boolean {
    return this.#fromOrigin;
  }

  /** The node that sent the last byte; null: the origin, or no byte has arrived. */
  get lastPeer(): NodeId | null {
    return this.#lastPeer;
  }

  /** Senders of bytes that no owner, root or origin vouched for. */
  get suspects(): readonly NodeId[] {
    return this.#suspects;
  }

  /**
   * The one node that sent bytes as checked by itself, if all that nobody vouched for came so: when
   * they are wrong, it has lied. Null: the senders may have only forwarded them.
   */
  get liar(): NodeId | null {
    return this.#suspects.length === 1 && this.#allChecked ? this.#suspects[0]! : null;
  }

  /**
   * The bytes up to `toBytes` came from `node` (null: the origin). It is `vouched` for, or says
   * that it has `checked` them, or neither.
   */
  add(node: NodeId | null, vouched: boolean, checked: boolean, toBytes: number): void {
    this.#lastPeer = node;
    if (node === null) {
      this.#fromOrigin = true;
      if (this.#trustedBytes === this.#originBytes && this.#allTrusted) this.#originBytes = toBytes;
    }
    if (vouched) {
      if (this.#allTrusted) {
        this.#trustedBytes = toBytes;
        this.#vouchers.add(node);
      }
      return;
    }
    this.#allTrusted = false;
    if (!checked) this.#allChecked = false;
    if (node !== null && !this.#suspects.includes(node)) this.#suspects.push(node);
  }

  /** Everything after `toBytes`, which is within the trusted prefix, is thrown away. */
  cut(toBytes: number): void {
    this.#trustedBytes = toBytes;
    this.#originBytes = Math.min(this.#originBytes, toBytes);
    this.#allTrusted = true;
    this.#suspects = [];
    this.#allChecked = true;
    this.#lastPeer = null;
    if (toBytes > 0) return;
    this.#fromOrigin = false;
    this.#vouchers.clear();
  }
}
