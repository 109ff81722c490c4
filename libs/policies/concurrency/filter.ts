import { reasons } from '@remora/errors/reason';
import { makeField } from '@remora/http/header-ids';
import { SharedWords } from '@remora/policy-kit/atomic-words';
import { buildEntryMatch, type ExchangeTest } from '@remora/policy-kit/entry-match';
import type { EdgeFilter, Exchange, Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind, SharedRows } from '@remora/policy-kit/runtime-kind';
import { AdaptiveLimit } from './adaptive-limit.ts';
import { concurrencyLimited } from './reasons.ts';
import { Shedding, SheddingEnd, sheddingHoldsMs } from './shedding.ts';
import { UnderWay } from './under-way.ts';
import { concurrencyWire, type ConcurrencySettings } from './wire.ts';

/** Lets in what the service can do, and sheds the rest, of the lowest priority first. */
export const concurrencyRuntime: RuntimeKind<ConcurrencySettings> = {
  ...concurrencyWire,
  side: 'provider',
  edge: createFilter,
};

function createFilter(settings: ConcurrencySettings, context: FilterContext): EdgeFilter {
  const gate = new Gate(settings, context);
  return { kind: 'concurrency', request: (x) => gate.admit(x), response: (x, head) => gate.answered(x, head.status), complete: (x) => gate.left(x) };
}

interface Priority {
  readonly name: string;
  readonly share: number;
  readonly applies: ExchangeTest | null;
}

/** What the memory of one service or gateway holds, made with the first request. */
interface Parts {
  readonly limit: AdaptiveLimit;
  readonly underWay: UnderWay;
  readonly shedding: Shedding;
}

class Gate {
  readonly #settings: ConcurrencySettings;
  readonly #context: FilterContext;
  readonly #memory: SharedRows;
  readonly #owner: string;
  /** The widest share first: of several that apply, it decides. */
  readonly #priorities: readonly Priority[];
  /** When a request was let in, and how many were under way then. */
  readonly #atSlot: number;
  readonly #foundSlot: number;
  readonly #shed: () => void;
  readonly #end: SheddingEnd;
  #parts: Parts | null = null;

  constructor(settings: ConcurrencySettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#shed = context.counter('concurrency_shed');
    this.#atSlot = context.slot();
    this.#foundSlot = context.slot();
    const scope = context.scope.slice(0, context.scope.lastIndexOf('/'));
    this.#owner = scope.slice(scope.indexOf('/') + 1);
    this.#priorities = settings.priorities.map(({ name, share, match }) => ({ name, share, applies: buildEntryMatch(match, context) })).sort((a, b) => b.share - a.share);
    const { priorities: _shares, ...shape } = settings;
    const key = `concurrency/${context.shadow ? 'shadow' : 'enforce'}/${scope}/${JSON.stringify(shape)}`;
    this.#memory = context.sharedRows(key, JSON.stringify(shape), { commonBytes, rowBytes: UnderWay.rowBytes });
    this.#end = context.live.keep(`${key}/end`, '', () => new SheddingEnd());
  }

  admit(x: Exchange): Verdict {
    const { limit, underWay, shedding } = (this.#parts ??= this.#makeParts());
    const nowMs = this.#context.clock.monotonicMs();
    const before = underWay.sum();
    const most = limit.limit;
    const priority = this.#priorityOf(x);
    // Of a share at least one may run, or a small limit would shut a priority out.
    const allowed = priority === null ? most : Math.max(1, Math.floor(most * priority.share));
    if (before >= allowed) {
      this.#shed();
      const told = shedding.shed(nowMs);
      if (told !== null) this.#tellShedding(told === 'goesOn', `${before} under way, the limit is ${most}`, nowMs);
      if (!this.#context.shadow) return this.#refuse(before, most, priority);
    } else if (shedding.calmed(nowMs)) this.#tell('ended', `nothing was shed for 10 s, the limit is ${most}`);
    underWay.add(1);
    limit.entered(before + 1);
    x.slots[this.#atSlot] = nowMs;
    x.slots[this.#foundSlot] = before + 1;
    return null;
  }

  /** What a sidecar answers itself says nothing of the app, but that it did not answer in time. */
  answered(x: Exchange, status: number): void {
    const at = x.slots[this.#atSlot];
    const found = x.slots[this.#foundSlot];
    if (typeof at !== 'number' || typeof found !== 'number' || found === 0) return;
    if (x.refusal === null ? status >= 500 : x.refusal.reason !== reasons.upstreamTimeout) return;
    const nowMs = this.#context.clock.monotonicMs();
    this.#parts?.limit.answered(nowMs - at, found, nowMs, this.#context.random);
    // A connection that was switched is no request any more: it may stay for days.
    if (x.tunnel) this.left(x);
  }

  left(x: Exchange): void {
    if (typeof x.slots[this.#atSlot] !== 'number') return;
    x.slots[this.#atSlot] = undefined;
    this.#parts?.underWay.add(-1);
  }

  #priorityOf(x: Exchange): Priority | null {
    for (const priority of this.#priorities) if (priority.applies === null || priority.applies(x)) return priority;
    return null;
  }

  #refuse(before: number, most: number, priority: Priority | null): Verdict {
    const pointer = priority === null ? (this.#settings.adaptive ? '' : '/limit') : `/priorities/${priority.name}`;
    const share = priority === null ? '' : `, of which ${priority.name} may use ${Math.round(priority.share * 100)} %`;
    return this.#context.refuse(concurrencyLimited, pointer, `${before} requests are under way, the limit is ${most}${share}`, retryAfter);
  }

  #tellShedding(renews: boolean, detail: string, nowMs: number): void {
    // In shadow nothing is held that could be held longer.
    if (renews && this.#context.shadow) return;
    this.#tell('shedding', detail, { untilMs: nowMs + sheddingHoldsMs, ...(renews && { renews }) });
  }

  #tell(event: string, detail: string, more: { readonly untilMs: number; readonly renews?: boolean } = { untilMs: 0 }): void {
    this.#context.event({ event: this.#context.shadow ? `would-be-${event}` : event, service: this.#owner, host: '', pointer: this.#settings.adaptive ? '' : '/limit', detail, ...more });
  }

  #makeParts(): Parts {
    const words = new SharedWords(this.#memory.buffer);
    const shedding = new Shedding(words, sheddingAt);
    this.#end.lapsed = () => {
      if (shedding.end()) this.#tell('ended', 'requests are limited no more, or differently');
    };
    return { limit: new AdaptiveLimit(this.#settings, words), underWay: new UnderWay(this.#memory, commonBytes), shedding };
  }
}

const sheddingAt = AdaptiveLimit.bytes / Int32Array.BYTES_PER_ELEMENT;
const commonBytes = AdaptiveLimit.bytes + 64;
const retryAfter = [makeField('retry-after', '1')];
