import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { ControlMessage, Hello, Rejected, Shed, SidecarHeartbeat, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { Backoff } from './backoff.ts';
import type { ControlConnector, ControlStream } from './control-stream.ts';

/** Times of the link, milliseconds. */
export interface LinkTimes {
  readonly heartbeatMs: number;
  /** Without a message for this long the stream counts as dead. */
  readonly silenceMs: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** A stream that lived this long was a good one: backoff starts anew. */
  readonly goodAfterMs: number;
  readonly retryAfterMaxMs: number;
}

export const defaultLinkTimes: LinkTimes = {
  heartbeatMs: 5_000,
  silenceMs: 15_000,
  backoffBaseMs: 200,
  backoffCapMs: 10_000,
  goodAfterMs: 10_000,
  retryAfterMaxMs: 60_000,
};

export interface LinkStatus {
  readonly connected: boolean;
  readonly address: string;
  /** Unix ms since when there was no contact; 0 in contact. */
  readonly staleSinceMs: number;
  readonly lastEnd: string;
  readonly rejected: { readonly code: string; readonly message: string } | null;
  readonly attempts: number;
  /** Clock of the control plane less ours at its last heartbeat, ms; null: never heard. */
  readonly clockOffsetMs: number | null;
}

export interface LinkOptions {
  readonly connector: ControlConnector;
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly times: LinkTimes;
  /** Last contact of an earlier life, Unix ms. */
  readonly lastContactMs: number;
  readonly hello: (leaving: boolean) => Hello;
  readonly heartbeat: () => SidecarHeartbeat;
  /** A stream was opened: what belongs to the one before is over. */
  readonly onOpen: () => void;
  readonly onMessage: (message: ControlMessage) => void;
  readonly onStatus: (status: LinkStatus) => void;
  /** How far the control plane's clock is ahead of our monotonic one: with its first heartbeat, and when that has changed by a second. */
  readonly onTime: (aheadMs: number) => void;
}

/** A difference that is told. Heartbeats travel for less. */
const timeStepMs = 1_000;

const otherAddressesMax = 16;

/**
 * Keeps one stream to one of the control planes: Hello, heartbeats, silence, reconnecting with jitter, Shed and Rejected.
 * Never gives up.
 */
export class ControlLink {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  #stream: ControlStream | null = null;
  /** Distinguishes callbacks of the current stream from late ones. */
  #serial = 0;
  #heard = false;
  #heardAt = 0;
  #openedAt = 0;
  #lastContactMs: number;
  #beat: Timer | null = null;
  #reconnect: Timer | null = null;
  #queue: string[] = [];
  #address = '';
  #lastEnd = '';
  #rejected: LinkStatus['rejected'] = null;
  #attempts = 0;
  #clockOffsetMs: number | null = null;
  #toldAheadMs: number | null = null;
  #leaving: { readonly deadlineMs: number; readonly done: (stragglers: readonly string[] | null) => void } | null = null;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#lastContactMs = options.lastContactMs;
    this.#backoff = new Backoff({ random: options.random, baseMs: options.times.backoffBaseMs, capMs: options.times.backoffCapMs });
  }

  get status(): LinkStatus {
    const connected = this.#heard && this.#stream !== null;
    return {
      connected,
      address: this.#address,
      staleSinceMs: connected ? 0 : this.#lastContactMs,
      lastEnd: this.#lastEnd,
      rejected: this.#rejected,
      attempts: this.#attempts,
      clockOffsetMs: this.#clockOffsetMs,
    };
  }

  /** Unix ms of the last message of a control plane. */
  get lastContactMs(): number {
    return this.status.connected ? this.#options.clock.wallMs() : this.#lastContactMs;
  }

  start(): void {
    // A random first address: a fleet spreads over the control planes.
    const { addresses, random } = this.#options;
    const first = Math.floor(random.next() * addresses.length);
    this.#queue = [...addresses.slice(first), ...addresses.slice(0, first)];
    this.#open();
  }

  send(message: SidecarMessage): void {
    this.#stream?.send(message);
  }

  /** Ends the stream and opens one at once: Hello changed. */
  renew(): void {
    if (!this.#stream || this.#closed) return;
    this.#drop('renewed');
    this.#open();
  }

  /**
   * Says that the instance is about to stop; resolves with the callers that had not confirmed, or null where no control
   * plane answers in time.
   */
  leave(deadlineMs: number): Promise<readonly string[] | null> {
    const { promise, resolve } = Promise.withResolvers<readonly string[] | null>();
    if (!this.status.connected) return Promise.resolve(null);
    const timer = this.#options.timers.after(deadlineMs, () => resolve(null));
    this.#leaving = { deadlineMs: this.#options.clock.wallMs() + deadlineMs, done: resolve };
    this.send({ body: { $case: 'leaving', value: { deadlineMs: BigInt(Math.round(deadlineMs)) } } });
    return promise.finally(() => timer.cancel());
  }

  close(): void {
    this.#closed = true;
    this.#reconnect?.cancel();
    this.#drop('closed');
    this.#leaving?.done(null);
  }

  #open(): void {
    const { connector, clock, timers, times, hello, onOpen } = this.#options;
    this.#reconnect = null;
    const address = this.#queue.shift() ?? '';
    this.#queue.push(address);
    this.#address = address;
    this.#attempts++;
    const serial = ++this.#serial;
    this.#heard = false;
    this.#openedAt = this.#heardAt = clock.monotonicMs();
    onOpen();
    this.#stream = connector.connect(address, {
      onMessage: (message) => {
        if (serial === this.#serial) this.#receive(message);
      },
      onEnd: (cause) => {
        if (serial === this.#serial) this.#end(cause);
      },
    });
    this.#stream.send({ body: { $case: 'hello', value: hello(this.#leaving !== null) } });
    this.#beat = timers.every(times.heartbeatMs, () => this.#tick());
  }

  #tick(): void {
    const { clock, times, heartbeat } = this.#options;
    const silentMs = clock.monotonicMs() - this.#heardAt;
    if (silentMs >= times.silenceMs) return this.#end(`no message for ${Math.round(silentMs / 1000)} s`);
    this.send({ body: { $case: 'heartbeat', value: heartbeat() } });
  }

  #receive(message: ControlMessage): void {
    const { clock, onMessage } = this.#options;
    this.#heardAt = clock.monotonicMs();
    this.#lastContactMs = clock.wallMs();
    if (message.body?.$case === 'shed') return this.#shed(message.body.value);
    if (message.body?.$case === 'rejected') return this.#reject(message.body.value);
    if (!this.#heard) {
      this.#heard = true;
      this.#rejected = null;
      this.#report();
    }
    if (message.body?.$case === 'safeToStop') return this.#leaving?.done(message.body.value.stragglers);
    if (message.body?.$case !== 'heartbeat') return onMessage(message);
    // Of a clock that nobody set nothing is said: 0 comes from tests and from before its first tick.
    const theirsMs = Number(message.body.value.clockMs);
    if (theirsMs > 0 && Number.isSafeInteger(theirsMs)) this.#setTime(theirsMs);
  }

  /** The next heartbeat's time is told, whatever was told before. */
  tellTimeAgain(): void {
    this.#toldAheadMs = null;
  }

  #setTime(theirsMs: number): void {
    const { clock, onTime } = this.#options;
    this.#clockOffsetMs = theirsMs - clock.wallMs();
    const aheadMs = theirsMs - clock.monotonicMs();
    if (this.#toldAheadMs !== null && Math.abs(aheadMs - this.#toldAheadMs) < timeStepMs) return;
    this.#toldAheadMs = aheadMs;
    onTime(aheadMs);
  }

  #shed(shed: Shed): void {
    const { addresses } = this.#options;
    const others = shed.otherAddresses.filter((address) => address !== '' && address !== this.#address).slice(0, otherAddressesMax);
    this.#drop(`shed: ${shed.reason}`);
    if (others.length > 0) {
      this.#queue = [...others, ...addresses.filter((address) => !others.includes(address))];
      return this.#later(this.#backoff.next());
    }
    this.#later(Math.max(this.#backoff.next(), this.#jittered(Number(shed.retryAfterMs))));
  }

  #reject(rejected: Rejected): void {
    this.#rejected = { code: rejected.code, message: rejected.message };
    this.#drop(`rejected: ${rejected.message}`);
    // What is not to be retried is asked again now and then all the same: the mistake may be corrected over there.
    const floorMs = rejected.retry ? Number(rejected.retryAfterMs) : this.#options.times.backoffCapMs;
    this.#later(Math.max(this.#backoff.next(), this.#jittered(floorMs)));
  }

  /** Between 1 and 1.5 times, within the bound. */
  #jittered(ms: number): number {
    return Math.min(ms, this.#options.times.retryAfterMaxMs) * (1 + 0.5 * this.#options.random.next());
  }

  #end(cause: string): void {
    const good = this.#heard && this.#options.clock.monotonicMs() - this.#openedAt >= this.#options.times.goodAfterMs;
    if (good) this.#backoff.reset();
    this.#drop(cause);
    this.#later(this.#backoff.next());
  }

  #drop(cause: string): void {
    const stream = this.#stream;
    this.#serial++;
    this.#stream = null;
    this.#beat?.cancel();
    this.#beat = null;
    this.#lastEnd = cause;
    this.#heard = false;
    stream?.close();
    this.#report();
  }

  #later(delayMs: number): void {
    if (this.#closed) return;
    // While this instance is leaving nobody waits for a control plane that went away.
    this.#leaving?.done(null);
    this.#reconnect?.cancel();
    this.#reconnect = this.#options.timers.after(delayMs, () => this.#open());
  }

  #report(): void {
    this.#options.onStatus(this.status);
  }
}
