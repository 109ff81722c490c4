import { parseIpAddress, type IpNetwork } from './ip-address.ts';

/**
 * A set of networks as a binary trie in one array: a lookup walks at most 32 or 128 nodes and allocates nothing. Each network
 * carries an index that the caller chose.
 */
export class NetworkSet {
  /** Per node: child for 0, child for 1, index + 1 of the network that ends here. Node 0: IPv4; node 1: IPv6. */
  #nodes = new Int32Array(64 * 3);
  #count = 2;
  #size = 0;
  readonly #words = new Uint32Array(4);

  get size(): number {
    return this.#size;
  }

  /** Where the same network is added twice, the first index stays. */
  add(network: IpNetwork, index: number): void {
    let node = network.family === 4 ? 0 : 1;
    const first = network.family === 4 ? 96 : 0;
    for (let bit = first; bit < first + network.prefix; bit++) {
      const side = ((network.words[bit >> 5] ?? 0) >>> (31 - (bit & 31))) & 1;
      let child = this.#nodes[node * 3 + side] ?? 0;
      if (child === 0) {
        child = this.#newNode();
        this.#nodes[node * 3 + side] = child;
      }
      node = child;
    }
    if (this.#nodes[node * 3 + 2] === 0) this.#nodes[node * 3 + 2] = index + 1;
    this.#size += 1;
  }

  /** Index of the widest network that holds the address; -1 where none does, -2 where the text is no address. */
  find(address: string): number {
    const words = this.#words;
    const family = parseIpAddress(address, words);
    if (family === 0) return -2;
    const nodes = this.#nodes;
    let node = family === 4 ? 0 : 1;
    for (let bit = family === 4 ? 96 : 0; ; bit++) {
      const index = nodes[node * 3 + 2] ?? 0;
      if (index > 0) return index - 1;
      if (bit === 128) return -1;
      node = nodes[node * 3 + (((words[bit >> 5] ?? 0) >>> (31 - (bit & 31))) & 1)] ?? 0;
      if (node === 0) return -1;
    }
  }

  #newNode(): number {
    if ((this.#count + 1) * 3 > this.#nodes.length) {
      const larger = new Int32Array(this.#nodes.length * 2);
      larger.set(this.#nodes);
      this.#nodes = larger;
    }
    return this.#count++;
  }
}
