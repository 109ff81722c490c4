import { decodeTrustBundle, encodeTrustBundle, trustBundleKind, type TrustBundleFacts } from '@remora/identity/trust-bundle-facts';
import { encodeWorkload, workloadFact } from '@remora/identity/workload-facts';
import type { ConfigClient } from '../config/config-client.ts';
import type { Log } from '../telemetry/log.ts';
import type { DataPlane } from '../threads/data-plane.ts';
import type { HeldIdentity } from './held-identity.ts';
import type { IdentityKeeper } from './identity-keeper.ts';

/**
 * Brings this workload's identity to the data threads, and the roots that the control plane names to the keeper. The item `trustBundle` becomes a fact by
 * itself; until there is one, the roots that came with the certificate are the fact.
 */
export class WorkloadFeed {
  readonly #deps: { readonly keeper: IdentityKeeper; readonly dataPlane: DataPlane; readonly log: Log };
  readonly #stops: (() => void)[] = [];
  #bundles: ReadonlyMap<string, Uint8Array> = new Map();
  #tail: Promise<void> = Promise.resolve();

  constructor(deps: { readonly keeper: IdentityKeeper; readonly dataPlane: DataPlane; readonly log: Log }) {
    this.#deps = deps;
  }

  /** What is held goes to the data threads; resolves when they have it. Before the first port is bound. */
  async start(): Promise<void> {
    const { keeper } = this.#deps;
    this.#stops.push(keeper.onChange((held) => this.#tell(held)), keeper.onTrust((held) => this.#tell(held)));
    const { current } = keeper;
    if (current) this.#tell(current);
    await this.#tail;
  }

  /** After the state lane was restored from the disk. */
  follow(client: Pick<ConfigClient, 'onItem'>): void {
    let from: 'disk' | 'stream' = 'disk';
    this.#stops.push(client.onItem(trustBundleKind, (bundles) => this.#onBundles(bundles, from)));
    from = 'stream';
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #onBundles(bundles: ReadonlyMap<string, Uint8Array>, from: 'disk' | 'stream'): void {
    const { keeper, log } = this.#deps;
    this.#bundles = new Map(bundles);
    for (const body of bundles.values()) {
      const bundle: TrustBundleFacts | null = decodeTrustBundle(body);
      const problem = bundle === null ? 'it cannot be read' : keeper.useBundle(bundle, from);
      if (problem !== null) log.error('a trust bundle is not taken; the roots from before stay', { cause: problem });
      const held = keeper.current;
      // Of an authority that is not ours any more: kept by the state lane until the control plane says another one, and used by nobody.
      if (from === 'disk' && held && bundle?.trustDomain === held.trustDomain && !bundle.roots.some((root) => held.root.raw.equals(root))) this.#giveRoots(held);
    }
  }

  #tell(held: HeldIdentity): void {
    const { key, chain, spiffeId, trustDomain } = held;
    const own = encodeWorkload({ key: key.export({ type: 'pkcs8', format: 'der' }), chain: chain.map(({ raw }) => raw), spiffeId, trustDomain });
    this.#give(workloadFact.kind, workloadFact.name, own);
    if (!this.#bundles.has(trustDomain)) this.#giveRoots(held);
  }

  #giveRoots({ trustDomain, roots }: HeldIdentity): void {
    this.#give(trustBundleKind, trustDomain, encodeTrustBundle({ trustDomain, roots: roots.map(({ raw }) => raw), sequence: 0 }));
  }

  /** In the order in which they came: the data plane takes one change at a time. */
  #give(kind: string, name: string, body: Uint8Array): void {
    const { dataPlane, log } = this.#deps;
    this.#tail = this.#tail.then(() => dataPlane.useFacts({ kind, full: false, facts: new Map([[name, body]]) })).catch((error: unknown) => {
      log.error('the data threads do not take the identity', { kind, cause: error instanceof Error ? error.message : 'unknown error' });
    });
  }
}
