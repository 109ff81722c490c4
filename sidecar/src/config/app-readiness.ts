import { createConnection } from 'node:net';
import type { Timer, Timers } from '@remora/core/clock';

/** Whether one TCP connection to the app can be made; never rejects. */
export type AppProbe = (address: { readonly host: string; readonly port: number }, timeoutMs: number) => Promise<boolean>;

const everyMs = 1_000;

/** Whether each port of the app accepted a connection in the last second: without that nobody can be served. What `healthCheck` asks comes on top (`AppChecks`). */
export class AppReadiness {
  readonly #apps: readonly { readonly host: string; readonly port: number }[];
  readonly #probe: AppProbe;
  readonly #onChange: (ready: boolean) => void;
  readonly #timer: Timer;
  #ready: boolean;
  #probing = false;

  /** Without apps (gateways, callers only) it is ready at once. */
  constructor(options: {
    readonly apps: readonly { readonly host: string; readonly port: number }[];
    readonly probe: AppProbe;
    readonly timers: Timers;
    readonly onChange: (ready: boolean) => void;
  }) {
    this.#apps = options.apps;
    this.#probe = options.probe;
    this.#onChange = options.onChange;
    this.#ready = options.apps.length === 0;
    this.#timer = options.timers.every(everyMs, () => void this.#check());
    void this.#check();
  }

  get ready(): boolean {
    return this.#ready;
  }

  stop(): void {
    this.#timer.cancel();
  }

  async #check(): Promise<void> {
    if (this.#probing || this.#apps.length === 0) return;
    this.#probing = true;
    const answers = await Promise.all(this.#apps.map((app) => this.#probe(app, everyMs)));
    this.#probing = false;
    const ready = answers.every(Boolean);
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#onChange(ready);
  }
}

export const tcpProbe: AppProbe = ({ host, port }, timeoutMs) => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection({ host, port });
  const answer = (ready: boolean): void => {
    resolve(ready);
    socket.destroy();
  };
  socket.setTimeout(timeoutMs, () => answer(false));
  socket.on('connect', () => answer(true));
  socket.on('error', () => answer(false));
  return promise;
};
