import type { Head, HeaderId } from '@remora/http/head';
import { headerId, internHeaderName } from '@remora/http/header-ids';
import type { Call } from '@remora/policy-kit/exchange';
import { WireError, type FilterContext } from '@remora/policy-kit/runtime-kind';
import { GoodAnswers, keptHeaders, mayBeKept, type GoodAnswer } from './good-answers.ts';
import type { StaleSettings } from './wire.ts';

/** Keeps good answers as they pass, and finds them again. */
export class AnswerKeeper {
  readonly #settings: StaleSettings;
  readonly #answers: GoodAnswers;
  readonly #keyIds: readonly HeaderId[];
  readonly #context: FilterContext;
  readonly #stored: () => void;

  constructor(settings: StaleSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#stored = context.counter('fallback_stored');
    this.#keyIds = settings.keyHeaders.map((name) => {
      const id = internHeaderName(name);
      if (id === 0) throw new WireError('/stale/keyHeaders', 'too-many', 'the table of header names is full');
      return id;
    });
    const shape = `${settings.entries} ${settings.bytes} ${settings.keyHeaders.join(' ')} ${String(settings.authorized)}`;
    this.#answers = context.live.keep(`fallbackAnswers/${context.scope}`, shape, () => new GoodAnswers(settings));
  }

  /** Null: there is none for the same request, or it is too old, or the request is one whose answers are not kept. */
  find(call: Call): GoodAnswer | null {
    return this.#keeps(call) ? this.#answers.find(this.#keyOf(call), this.#context.clock.monotonicMs(), this.#settings.maxAgeMs) : null;
  }

  /** For a good answer that begins: it is kept when its end has come. Null: it is not to be kept, or the one that is there is a second old at most. */
  begin(call: Call, head: Head, end: boolean): Capture | null {
    const { bodyBytes, keyHeaders } = this.#settings;
    if (head.status !== 200 || !this.#keeps(call) || head.bodyLength > bodyBytes) return null;
    const nowMs = this.#context.clock.monotonicMs();
    const key = this.#keyOf(call);
    if (this.#answers.find(key, nowMs, renewMs) !== null || !mayBeKept(head, keyHeaders)) return null;
    const capture = new Capture(bodyBytes, (body) => {
      const kept = this.#answers.store(key, { status: head.status, headers, body, bodyLength: call.head.method === 'HEAD' ? head.bodyLength : body.length, storedAtMs: nowMs });
      if (kept) this.#stored();
    });
    const headers = keptHeaders(head);
    if (!end) return capture;
    capture.end();
    return null;
  }

  #keeps({ head, x }: Call): boolean {
    if (head.method !== 'GET' && head.method !== 'HEAD') return false;
    if (head.has(rangeHeader)) return false;
    return this.#settings.authorized || !(head.has(authorizationHeader) || head.has(cookieHeader) || (x.identity !== null && x.identity.proved !== 0));
  }

  #keyOf({ head, x }: Call): string {
    let key = `${head.method} ${head.authority} ${head.target}`;
    for (const id of this.#keyIds) key += `\n${valuesOf(head, id)}`;
    // Nobody gets what was meant for somebody else, even where answers to requests with credentials are kept.
    if (this.#settings.authorized) key += `\n${valuesOf(head, authorizationHeader)}\n${valuesOf(head, cookieHeader)}\n${x.identity?.consumer?.name ?? ''}\n${x.identity?.issuer ?? ''}\n${x.identity?.subject ?? ''}`;
    return key;
  }
}

/** The body of one answer as it passes. */
export class Capture {
  readonly #bytesMax: number;
  readonly #keep: (body: Uint8Array) => void;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #lost = false;

  constructor(bytesMax: number, keep: (body: Uint8Array) => void) {
    this.#bytesMax = bytesMax;
    this.#keep = keep;
  }

  add(bytes: Uint8Array, at: number, to: number): void {
    if (this.#lost || to === at) return;
    this.#bytes += to - at;
    this.#lost = this.#bytes > this.#bytesMax;
    if (this.#lost) this.#chunks = [];
    else this.#chunks.push(Uint8Array.prototype.slice.call(bytes, at, to));
  }

  end(): void {
    if (!this.#lost) this.#keep(Buffer.concat(this.#chunks, this.#bytes));
  }
}

function valuesOf(head: Head, id: HeaderId): string {
  if (!head.has(id)) return '';
  let text = head.valueAt(id, 0);
  for (let nth = 1; nth < head.count(id); nth += 1) text += `,${head.valueAt(id, nth)}`;
  return text;
}

/** An answer is kept anew at most so often. */
const renewMs = 1000;
const authorizationHeader = headerId('authorization');
const cookieHeader = headerId('cookie');
const rangeHeader = internHeaderName('range');
