import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Call, Dispatch, Layer, Sink, Source } from '@remora/policy-kit/exchange';

/**
 * A layer that watches the contract of Sink and Source between what is outside and inside of it, in both directions, and reports each
 * breach: order, silence after the end, no data after false, no production within `resume`.
 */
export function checkedLayer(report: (breach: string) => void): Layer {
  return (next: Dispatch): Dispatch => (call: Call, response: Sink) => {
    const name = `call ${call.attempt}`;
    const source = new CheckedSource(call.body, `${name}, request`, report);
    call.body = source;
    const sink = new CheckedSink(next(call, new CheckedSink(response, `${name}, response`, report, null)), `${name}, request`, report, source);
    source.sink = sink;
    sink.bound = true;
    return sink;
  };
}

class CheckedSource implements Source {
  sink: CheckedSink | null = null;
  readonly #inner: Source;
  readonly #name: string;
  readonly #report: (breach: string) => void;

  constructor(inner: Source, name: string, report: (breach: string) => void) {
    this.#inner = inner;
    this.#name = name;
    this.#report = report;
  }

  resume(): void {
    const before = this.sink?.calls ?? 0;
    if (this.sink !== null) this.sink.paused = false;
    this.#inner.resume();
    if ((this.sink?.calls ?? 0) !== before) this.#report(`${this.#name}: data() was called within resume()`);
  }

  stop(reason: Reason): void {
    if (this.sink !== null) this.sink.stopped = true;
    this.#inner.stop(reason);
  }
}

class CheckedSink implements Sink {
  bound = false;
  paused = false;
  stopped = false;
  calls = 0;
  readonly #inner: Sink;
  readonly #name: string;
  readonly #report: (breach: string) => void;
  /** Request bodies: without one, what comes is a response with a head. */
  readonly #request: CheckedSource | null;
  #head = false;
  #ended = false;

  constructor(inner: Sink, name: string, report: (breach: string) => void, request: CheckedSource | null) {
    this.#inner = inner;
    this.#name = name;
    this.#report = report;
    this.#request = request;
  }

  bind(from: Source): void {
    if (this.bound) this.#breach('bind() twice');
    this.bound = true;
    const source = new CheckedSource(from, this.#name, this.#report);
    source.sink = this;
    this.#inner.bind(source);
  }

  info(head: Head): void {
    this.#called('info()');
    if (this.#request !== null || this.#head) this.#breach('info() has no place here');
    this.#inner.info(head);
  }

  head(head: Head, end: boolean): void {
    this.#called('head()');
    if (this.#request !== null || this.#head) this.#breach('head() has no place here');
    this.#head = true;
    this.#ended = end;
    this.#inner.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.#called('data()');
    if (this.#request === null && !this.#head) this.#breach('data() before head()');
    if (this.paused) this.#breach('data() after false, without resume()');
    if (at > to || to > bytes.length) this.#breach(`data() with the span ${at} to ${to} of ${bytes.length}`);
    this.#ended = end;
    const more = this.#inner.data(bytes, at, to, end);
    this.paused = !more && !end;
    return more;
  }

  trailers(head: Head): void {
    this.#called('trailers()');
    if (this.#request === null && !this.#head) this.#breach('trailers() before head()');
    this.#ended = true;
    this.#inner.trailers(head);
  }

  reset(reason: Reason): void {
    this.calls++;
    if (this.#ended && this.#request === null) this.#breach('reset() after the end');
    this.#ended = true;
    this.#inner.reset(reason);
  }

  #called(what: string): void {
    this.calls++;
    if (!this.bound) this.#breach(`${what} before bind()`);
    if (this.#ended) this.#breach(`${what} after the end`);
    if (this.stopped) this.#breach(`${what} after stop()`);
  }

  #breach(what: string): void {
    this.#report(`${this.#name}: ${what}`);
  }
}
