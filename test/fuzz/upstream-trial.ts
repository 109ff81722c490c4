import type { FuzzUpstream, GatewayTrial, GatewayUnderFuzz } from './gateway-layer.ts';
import type { CorpusEntry, FuzzFinding } from './layer.ts';
import { TokenPrefixes } from './token-prefixes.ts';

/** A trial with an upstream of its own and tokens that nobody else has. Cases are replayed from their seeds where nothing else is said. */
export abstract class UpstreamTrial<U extends FuzzUpstream> implements GatewayTrial {
  readonly upstream: U;
  /** As findings name it. */
  protected readonly layer: string;
  readonly #prefixes = new TokenPrefixes();

  constructor(layer: string, upstream: U) {
    this.layer = layer;
    this.upstream = upstream;
  }

  /** First half of the tokens of one run. They come again after many runs: what a client that left asked for may have arrived after it was looked at. */
  protected nextPrefix(): string {
    const prefix = this.#prefixes.next();
    this.upstream.forget?.(prefix);
    return prefix;
  }

  abstract judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]>;

  replay(entry: CorpusEntry, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]> {
    return this.judge(entry.seed, gateway);
  }
}
