import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { buildRequestHead } from '@remora/http/head-builder';
import type { Call, Dispatch, Sink, Source } from '@remora/policy-kit/exchange';
import { freshCall } from '@remora/policy-kit/fresh-call';
import type { Player, ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { Deferred, FilterContext } from '@remora/policy-kit/runtime-kind';

/** What all mirrored calls of one layer share. */
export interface MirrorPlan {
  readonly context: FilterContext;
  readonly elsewhere: Dispatch;
  /** Mirrored calls under way in this thread: one object for all snapshots. */
  readonly outstanding: { count: number };
  readonly counters: Readonly<Record<'sent' | 'answered' | 'failed', () => void>>;
}

/** A copy of a request, whose answer nobody waits for. Sink of its response, source of its body, which is there already. */
export class MirroredCall implements Sink, Source, Deferred {
  readonly #plan: MirrorPlan;
  readonly #player: Player | null;
  #body: Sink | null = null;
  #source: Source | null = null;
  #over = false;
  #answered = false;

  /** `buffer`: the whole body; null: there is none. */
  constructor(plan: MirrorPlan, buffer: ReplayBuffer | null) {
    this.#plan = plan;
    this.#player = buffer?.player() ?? null;
  }

  begin(call: Call, bodyLength: number): void {
    const { context, outstanding, counters, elsewhere } = this.#plan;
    outstanding.count += 1;
    counters.sent();
    const x = context.detours.beside(call.x);
    x.head = copyOf(call.head, bodyLength);
    this.#body = elsewhere(freshCall({ ...call, deadlineAt: Number.POSITIVE_INFINITY }, x, x.head, this), this);
  }

  // Source of the request body.

  resume(): void {
    if (!this.#over && this.#player !== null) this.#plan.context.later(this);
  }

  stop(_reason: Reason): void {
    this.#player?.leave();
  }

  runLater(): void {
    if (this.#over || this.#player === null || this.#body === null) return;
    this.#player.play(this.#body);
    if (this.#player.done) this.#player.leave();
  }

  // Sink of the response.

  bind(from: Source): void {
    this.#source = from;
  }

  info(_head: Head): void {}

  /** A short answer is read to its end, so that its connection stays usable. */
  head(head: Head, end: boolean): void {
    this.#answered = true;
    this.#plan.counters.answered();
    if (end) this.#finish();
    else if (head.bodyLength < 0 || head.bodyLength > swallowMax) {
      this.#finish();
      this.#source?.stop(reasons.downstreamReset);
    }
  }

  data(_bytes: Uint8Array, _at: number, _to: number, end: boolean): boolean {
    if (end) this.#finish();
    return true;
  }

  trailers(_head: Head): void {
    this.#finish();
  }

  reset(_reason: Reason): void {
    if (!this.#answered && !this.#over) this.#plan.counters.failed();
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#player?.leave();
    this.#plan.outstanding.count -= 1;
  }
}

/** The copy outlives the request that it was made from, whose bytes are used again then. What is between this hop and the next only is left out. */
function copyOf(head: Head, bodyLength: number): Head {
  const headers: (readonly [string, string])[] = [];
  head.forEach((name, value) => {
    if (!notCopied.has(name)) headers.push([name, value]);
  });
  headers.push(['x-remora-mirror', '1']);
  return buildRequestHead({ method: head.method, scheme: head.scheme, authority: head.authority, target: head.target, headers, bodyLength });
}

const notCopied: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'expect', 'x-remora-deadline', 'x-remora-attempt', 'x-remora-mirror']);
const swallowMax = 16 * 1024;
