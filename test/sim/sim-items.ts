import type { Subject, SubjectKey } from '@remora/core/subject';
import { contentHash } from '@remora/core/hash';
import type { ControlPlane } from '@remora/control-plane/app';
import { ConsumerItems } from '@remora/control-plane/consumers/consumer-items';
import type { EncodedItem, StateItemSource } from '@remora/control-plane/push/state-items';
import { breakerOrdersKind, encodeBreakerOrder } from '@remora/policy-kit/breaker-orders';
import { encodeHostOrders, hostOrdersKind } from '@remora/policy-kit/host-orders';
import type { VirtualWorld } from './virtual-world.ts';

/** The kinds of items that runs are about. `trustBundle` and `revocations` come from here, the others from the control plane's own books. */
export const itemKinds = ['trustBundle', 'revocations', 'secret', 'consumers', breakerOrdersKind, hostOrdersKind] as const;

/** For how long after a start nothing is known of what is kept here, at most: sidecars hold what they have. */
const unknownMs = 3_000;

/** What sidecars are given beside documents in one run, and what of it they should have. Bodies are numbered: a sidecar that goes back is seen. */
export class SimItems {
  readonly #world: VirtualWorld;
  /** Outlives the control plane, as a store does. */
  #trustBundle = 0;
  /** 0: there are none. */
  #revocations = 0;
  #last = 0;
  #sources: readonly NumberedSource[] = [];

  constructor(world: VirtualWorld) {
    this.#world = world;
    this.#trustBundle = ++this.#last;
  }

  /** Of a control plane that starts. */
  sourcesFor(alive: () => boolean): readonly StateItemSource[] {
    const sources = [new NumberedSource('trustBundle', () => this.#trustBundle), new NumberedSource('revocations', () => this.#revocations)];
    this.#sources = sources;
    for (const source of sources) {
      this.#world.after(this.#world.upTo(unknownMs), () => {
        if (alive()) source.learn();
      });
    }
    return sources;
  }

  /** One change of what sidecars know: by an operator, the authority, or whoever rotates a password. */
  change({ secrets, credentials, clock }: ControlPlane): void {
    const number = ++this.#last;
    const service = this.#world.pick(['web', 'orders', 'payments']);
    this.#world.pick([
      () => { this.#trustBundle = number; },
      () => { this.#revocations = this.#world.chance(0.3) ? 0 : number; },
      () => secrets.set({ name: `${service}-key`, source: { kind: 'literal' }, value: Buffer.from(`${service}-key ${number}`), author: '' }),
      () => secrets.remove(`${service}-key`),
      () => {
        const consumer = this.#world.pick(['anna', 'bert']);
        credentials.add({ kind: 'apiKey', id: `id-${number}`, consumer, author: '', createdMs: clock.wallMs(), expiresMs: null, prefix: 'test', digest: credentials.digestOf(`a key of a test ${number}`) });
      },
      () => credentials.remove([...credentials.all()].filter(() => this.#world.chance(0.5)).map(({ id }) => id)),
    ])();
    for (const source of this.#sources) source.changed();
  }

  /** What a sidecar of this subject should hold, by `kind/name`: hashes. */
  wanted({ secretItems, credentials, writePath, hostOrders, breakerOrders }: ControlPlane, subject: SubjectKey): ReadonlyMap<string, string> {
    const state = writePath.state();
    const consumers = new ConsumerItems({ book: credentials, alarm: (error) => { throw error; } });
    if (state.kind === 'ready') consumers.follow(state.planned);
    const found = new Map<string, string>();
    for (const source of [...this.#sources, secretItems, consumers]) for (const { name, hash } of source.itemsFor(subject) ?? []) found.set(`${source.kind}/${name}`, hash);
    const planned = state.kind === 'ready' ? state.planned : null;
    for (const service of planned?.compilation.subjects.get(subject)?.destinations ?? []) {
      const [hosts, breaker] = [hostOrders.ordersOf(service), breakerOrders.of(service)];
      if (hosts !== null) found.set(`${hostOrdersKind}/${service}`, contentHash(encodeHostOrders(hosts)));
      if (breaker !== null) found.set(`${breakerOrdersKind}/${service}`, contentHash(encodeBreakerOrder(breaker)));
    }
    return found;
  }
}

/** Whether a sidecar may ever have an item, as the documents of a run have it: `web` introspects tokens, `orders` knows keys too, the others look for nobody. */
export function mayHave(subject: Subject, kind: string, name: string): boolean {
  if (kind === 'trustBundle' || kind === 'revocations') return true;
  if (kind === hostOrdersKind || kind === breakerOrdersKind) return subject.kind === 'gateway' || (subject.name === 'web' && name === 'orders') || (subject.name === 'orders' && name === 'payments');
  const looks = subject.kind === 'service' && (subject.name === 'web' || subject.name === 'orders');
  if (kind === 'secret') return looks && name === `${subject.name}-key`;
  const [what = ''] = name.split('.');
  if (kind === 'consumers') return looks && (what === 'consumers' || what === 'plans' || (subject.name === 'orders' && (what === 'apiKey' || what === 'key')));
  return false;
}

/** The number that a body was given; null for bodies that have none. */
export function numberOf(kind: string, body: Uint8Array): number | null {
  return numbered.has(kind) ? Number(Buffer.from(body).toString().split(' ').at(-1)) : null;
}

const numbered: ReadonlySet<string> = new Set(['trustBundle', 'revocations', 'secret']);

/** One item, the same for everybody; nothing is known until `learn`. */
class NumberedSource implements StateItemSource {
  readonly kind: string;
  readonly #read: () => number;
  readonly #listeners = new Set<(subjects: 'all') => void>();
  #known = false;
  #told = -1;
  #items: readonly EncodedItem[] = [];

  constructor(kind: string, read: () => number) {
    this.kind = kind;
    this.#read = read;
  }

  learn(): void {
    this.#known = true;
    this.changed();
  }

  changed(): void {
    const number = this.#read();
    if (!this.#known || number === this.#told) return;
    this.#told = number;
    const body = Buffer.from(`${this.kind} ${number}`);
    this.#items = number === 0 ? [] : [{ name: 'all', body, hash: contentHash(body) }];
    for (const listener of this.#listeners) listener('all');
  }

  itemsFor(): readonly EncodedItem[] | null {
    return this.#known ? this.#items : null;
  }

  onChange(listener: (subjects: 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
