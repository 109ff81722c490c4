import type { Proxy } from '../conformance/proxy-under-test.ts';
import { cleanRequest, descriptorsOf, residentOf, threadsOf, untilQuiet } from '../e2e/edge.ts';
import { until } from '../processes/until.ts';

/** What a gateway holds before and after: connections, calls, timers, descriptors, memory. */
export class Vitals {
  readonly #proxy: Proxy;
  readonly #descriptors: number;
  #warmMiB = 0;
  #lastMiB = 0;

  private constructor(proxy: Proxy) {
    this.#proxy = proxy;
    this.#descriptors = descriptorsOf(proxy.gateway);
  }

  static async take(proxy: Proxy): Promise<Vitals> {
    for (let i = 0; i < 50; i++) await cleanRequest(proxy.port);
    return new Vitals(proxy);
  }

  /** Memory is compared with what it was when the first cases had run: until then buffers and code are being made. */
  warm(): void {
    if (this.#warmMiB === 0) this.#warmMiB = residentOf(this.#proxy.gateway);
  }

  /** '' where a clean request succeeds and everything is back, within a time that no machine needs. */
  async compare(): Promise<string> {
    const { gateway, port } = this.#proxy;
    if (gateway.process.exitCode !== null) return `the gateway ended with ${gateway.process.exitCode}`;
    try {
      await untilQuiet(gateway, backMs);
      await cleanRequest(port);
      await untilQuiet(gateway, backMs);
      await until('everything is back', () => this.#left(), (left) => left === '', backMs);
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** What is still there; '' for nothing. */
  async #left(): Promise<string> {
    const { gateway } = this.#proxy;
    const threads = await threadsOf(gateway);
    const idle = threads.reduce((sum, { pools }) => sum + pools.reduce((open, pool) => open + pool.open, 0), 0);
    const timers = threads.reduce((sum, thread) => sum + thread.timers, 0);
    if (timers > idle) return `${timers} timers, ${idle} idle upstream connections`;
    const tunnels = threads.reduce((sum, thread) => sum + thread.tunnels.count, 0);
    if (tunnels > 0) return `${tunnels} tunnels`;
    const descriptors = descriptorsOf(gateway) - idle;
    if (descriptors > this.#descriptors + descriptorsSlack) return `${descriptors} descriptors, ${this.#descriptors} were there before`;
    this.#lastMiB = residentOf(gateway);
    return this.#warmMiB > 0 && this.#lastMiB > this.#warmMiB + memorySlackMiB ? `${this.#lastMiB.toFixed(0)} MiB of memory, ${this.#warmMiB.toFixed(0)} MiB when warm` : '';
  }

  get summary(): string {
    return `${this.#lastMiB.toFixed(0)} MiB at the end`;
  }
}

const backMs = 60_000;
/** Connections to the control plane come and go. */
const descriptorsSlack = 8;
const memorySlackMiB = 96;
