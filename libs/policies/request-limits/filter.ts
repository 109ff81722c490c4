import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { EdgeFilter, Sink, Source } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { bodyTooLarge } from './reasons.ts';
import { requestLimitsWire, unlimited, type RequestLimitsSettings } from './wire.ts';

/** The limit on request bodies, per route; everything else of the section is enforced on the connection by the engine. */
export const requestLimitsRuntime: RuntimeKind<RequestLimitsSettings> = {
  ...requestLimitsWire,
  side: 'provider',
  tcp: true,
  reasons: [bodyTooLarge],
  edge: makeRequestLimitsFilter,
};

function makeRequestLimitsFilter(settings: RequestLimitsSettings, context: FilterContext): EdgeFilter | null {
  const { bodyBytesMax: bytesMax, tunnelBytesMax } = settings;
  if (bytesMax === unlimited && tunnelBytesMax === unlimited) return null;
  const refusal = context.refuse(bodyTooLarge, '/bodyBytes', `at most ${bytesMax} bytes are accepted`);
  const bit = context.bodyBit;
  return {
    kind: 'requestLimits',
    request(x) {
      const length = x.head.bodyLength;
      if (!context.shadow) x.tunnelBytesMax = tunnelBytesMax;
      if (length > bytesMax) return refusal;
      if (length < 0 && bytesMax !== unlimited) x.wantsRequestBody |= bit;
      return null;
    },
    requestBody: (x, next) => new CountingSink(next, bytesMax, () => {
      x.answer(x.token, refusal);
    }),
  };
}

/** Passes a body of unknown length on until it is longer than allowed; then nothing of it goes on. */
class CountingSink implements Sink {
  readonly #next: Sink;
  readonly #refuse: () => void;
  #rest: number;
  #from: Source | null = null;
  #over = false;
  #ended = false;

  constructor(next: Sink, bytesMax: number, refuse: () => void) {
    this.#next = next;
    this.#rest = bytesMax;
    this.#refuse = refuse;
  }

  bind(from: Source): void {
    this.#from = from;
    this.#next.bind(from);
  }

  info(head: Head): void {
    if (!this.#over) this.#next.info(head);
  }

  head(head: Head, end: boolean): void {
    if (!this.#over) this.#next.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#over) return true;
    this.#rest -= to - at;
    if (this.#rest >= 0) return this.#next.data(bytes, at, to, end);
    this.#over = true;
    // The answer first: it names this policy, while a reset that comes back from the call would not.
    this.#refuse();
    this.reset(bodyTooLarge);
    this.#from?.stop(bodyTooLarge);
    return true;
  }

  trailers(head: Head): void {
    if (!this.#over) this.#next.trailers(head);
  }

  reset(reason: Reason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#next.reset(reason);
  }
}
