import type { Clock, Timers } from '@remora/core/clock';
import type { Overload } from './overload.ts';
import { OverloadWatch } from './overload-watch.ts';

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Connections that the thread may hold, whatever listeners say: the descriptor reserve. */
  readonly connectionsMax: number;
  /** Connections to upstreams: both together may be twice as many as those of clients. */
  readonly upstreamConnections: () => number;
  /** Of the limit on memory, 0 to 1. */
  readonly memoryShare: () => number;
  readonly count: (name: string) => void;
  /** The stage of overload has changed. */
  readonly onStage: (stage: number) => void;
}

/** What a data thread takes on: connections by the descriptors that are left, and requests as long as it is not overloaded. */
export class Admission {
  connections = 0;
  readonly overload: Overload;
  readonly #options: AdmissionOptions;
  readonly #watch: OverloadWatch;
  #requests = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#watch = new OverloadWatch(options.clock, options.timers, {
      memoryShare: options.memoryShare,
      connectionShare: () => this.connections / options.connectionsMax,
      requests: () => this.#requests,
    }, options.onStage);
    this.overload = this.#watch.overload;
  }

  /** `listenerMax`: what the listener may hold, `listenerOpen` what it does. */
  admitsConnection(listenerOpen: number, listenerMax: number): boolean {
    if (this.overload.stage >= 3) {
      this.#options.count('overload_connections-closed');
      return false;
    }
    const { connectionsMax, upstreamConnections } = this.#options;
    return this.connections < connectionsMax && this.connections + upstreamConnections() < 2 * connectionsMax && listenerOpen < listenerMax;
  }

  /** Whether new work from outside is taken on. */
  admitsRequest(): boolean {
    this.#requests++;
    if (this.overload.stage < 2) return true;
    this.#options.count('overload_requests-refused');
    return false;
  }

  /** Clients are told to open their next connection elsewhere. */
  get endsKeepAlive(): boolean {
    return this.overload.stage >= 1;
  }

  opened(): void {
    this.connections++;
    this.#watch.start();
  }

  gone(): void {
    this.connections--;
  }

  close(): void {
    this.#watch.stop();
  }
}
