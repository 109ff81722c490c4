/** What data threads ask the control thread about counts in the store of the Mesh, and what it answers. */
export const storeTopic = 'store';

/** Facts of this kind tell data threads that there is a store, and its deadline; written by the control thread. */
export const storeFactKind = 'store';
export const storeFactName = 'redis';

/**
 * How a key is counted. `bucket`: tokens; `queue`: a leaky bucket; `fixed` and `sliding`: windows of the store's clock; `total`: a number that is forgotten at
 * `untilMs`.
 */
export const countings = ['bucket', 'queue', 'fixed', 'sliding', 'total'] as const;
export type Counting = (typeof countings)[number];

export interface StoreAsk {
  readonly counting: Counting;
  /** Readable part of the key in the store: whose count it is. At most 200 characters. */
  readonly name: string;
  /** Everything that makes the key this key; only its hash reaches the store. */
  readonly identity: string;
  readonly requests: number;
  /** 0 of a `total`. */
  readonly perMs: number;
  /** Bucket: capacity. Queue: how many may wait. Else 0. */
  readonly burst: number;
  /** What must be there, or nothing is granted. */
  readonly cost: number;
  /** What is wished for; negative: so much is given back. */
  readonly want: number;
  /** Unix milliseconds; 0 where the counting needs none. */
  readonly untilMs: number;
  /** What is given back was granted in this window: it counts there, or where that is over nowhere. 0: in whatever window it is. */
  readonly window?: number;
}

export interface StoreAnswer {
  /** 0: refused; else from `cost` to `want`. */
  readonly granted: number;
  /** Refused: when `cost` would be granted, if nobody else asks. */
  readonly retryAfterMs: number;
  /** Left in the store. */
  readonly remaining: number;
  /** Until the whole is there again. */
  readonly resetMs: number;
  /** Queue: until the turn of what was granted. */
  readonly waitMs: number;
  /** For so long what was granted may be used. */
  readonly validMs: number;
  /** Number of the window that it was granted in; 0 of countings without. */
  readonly window?: number;
}

type WireAsk = readonly [string, string, string, number, number, number, number, number, number, number];
type WireAnswer = readonly [number, number, number, number, number, number, number] | null;

/** Both ends are of one build; what cannot be read is a defect, and throws. */
export function encodeAsks(asks: readonly StoreAsk[]): Uint8Array {
  return Buffer.from(JSON.stringify(asks.map(({ counting, name, identity, requests, perMs, burst, cost, want, untilMs, window = 0 }): WireAsk => [counting, name, identity, requests, perMs, burst, cost, want, untilMs, window])));
}

export function decodeAsks(body: Uint8Array): readonly StoreAsk[] {
  return (JSON.parse(text(body)) as readonly WireAsk[]).map(([word, name, identity, requests, perMs, burst, cost, want, untilMs, window]) => {
    const counting = countings.find((one) => one === word);
    if (counting === undefined) throw new Error(`nothing is counted as ${word}`);
    return { counting, name, identity, requests, perMs, burst, cost, want, untilMs, window };
  });
}

/** null: of this one the store could not say anything. */
export function encodeAnswers(answers: readonly (StoreAnswer | null)[]): Uint8Array {
  return Buffer.from(JSON.stringify(answers.map((answer): WireAnswer => (
    answer === null ? null : [answer.granted, answer.retryAfterMs, answer.remaining, answer.resetMs, answer.waitMs, answer.validMs, answer.window ?? 0]))));
}

export function decodeAnswers(body: Uint8Array): readonly (StoreAnswer | null)[] {
  return (JSON.parse(text(body)) as readonly WireAnswer[]).map((wire) => {
    if (wire === null) return null;
    const [granted, retryAfterMs, remaining, resetMs, waitMs, validMs, window] = wire;
    return { granted, retryAfterMs, remaining, resetMs, waitMs, validMs, window };
  });
}

function text(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}
