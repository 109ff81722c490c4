import { Agent } from 'node:http';
import { askShop } from './gateway-client.ts';
import type { ShopAnswer } from './gateway-client.ts';

/** Requests that run beside a step, one after the other on each of a few connections, until it is stopped. */
export interface Traffic {
  readonly sent: number;
  readonly failures: readonly TrafficFailure[];
  /** How often each name that `classify` gave was seen. */
  readonly counts: ReadonlyMap<string, number>;
  /** Resolves when this many more have been answered. */
  more(count: number, timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface TrafficFailure {
  /** Wall ms. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly what: string;
}

export interface TrafficPlan {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Names an answer, e.g. by the version that gave it; null: it is a failure. Without it every 200 is `ok`. */
  readonly classify?: (answer: ShopAnswer) => string | null;
}

const failuresKept = 1_000;

export function startTraffic(plan: TrafficPlan): Traffic {
  const running = new RunningTraffic(plan);
  running.start();
  return running;
}

class RunningTraffic implements Traffic {
  sent = 0;
  readonly failures: TrafficFailure[] = [];
  readonly counts = new Map<string, number>();
  readonly #plan: TrafficPlan;
  readonly #agent: Agent;
  readonly #waiting = new Set<() => void>();
  #stopping = false;
  #loops: Promise<void>[] = [];

  constructor(plan: TrafficPlan) {
    this.#plan = plan;
    this.#agent = new Agent({ keepAlive: true, maxSockets: plan.connections });
  }

  start(): void {
    this.#loops = Array.from({ length: this.#plan.connections }, () => this.#loop());
  }

  more(count: number, timeoutMs: number): Promise<void> {
    const goal = this.sent + count;
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        if (this.sent < goal) return;
        finish();
        resolve();
      };
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`only ${this.sent - goal + count} of ${count} requests were answered within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.add(look);
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
    this.#agent.destroy();
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      await this.#one();
      this.sent += 1;
      this.#waiting.forEach((look) => look());
    }
  }

  async #one(): Promise<void> {
    const startedAt = Date.now();
    try {
      const { port, path, headers, classify } = this.#plan;
      const answer = await askShop({ port, path, agent: this.#agent, ...(headers === undefined ? {} : { headers }) });
      const name = classify === undefined ? (answer.status === 200 ? 'ok' : null) : classify(answer);
      if (name === null) this.#fail(startedAt, `${answer.status} ${answer.text.slice(0, 300)}`);
      else this.#count(name);
    } catch (error) {
      this.#fail(startedAt, (error as Error).message);
    }
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  #fail(startedAt: number, what: string): void {
    if (this.failures.length < failuresKept) this.failures.push({ startedAt, endedAt: Date.now(), what });
  }
}
