import { Agent, request } from 'node:http';

export interface TrafficOptions {
  readonly port: number;
  readonly path: string;
  readonly host?: string;
  /** Requests under way at once, each on a keep-alive connection of its own. */
  readonly concurrency: number;
  /** Pause of each after an answer, in milliseconds. */
  readonly pauseMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  /** 0: no answer; `error` says why. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly error: string;
  readonly elapsedMs: number;
  /** When it was asked, on the clock of this process. */
  readonly startedAt: number;
  /** Number of the keep-alive lane, and of the answer on it: for checks of order. */
  readonly lane: number;
}

export interface Traffic {
  /** Answers so far, failures included. */
  readonly answers: readonly Answer[];
  /** Resolves when `count` more answers than now have come. */
  more(count: number): Promise<void>;
  stop(): Promise<readonly Answer[]>;
}

/** One request. Never rejects: a failure is an answer with status 0. */
export function ask(options: { readonly port: number; readonly path: string; readonly host?: string; readonly agent?: Agent; readonly lane?: number; readonly method?: string; readonly headers?: Readonly<Record<string, string>> }): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve) => {
    const finish = (part: Partial<Answer>): void => resolve({ status: 0, headers: {}, body: '', error: '', lane: options.lane ?? 0, startedAt: started, elapsedMs: performance.now() - started, ...part });
    const outgoing = request({
      host: '127.0.0.1', port: options.port, path: options.path, method: options.method ?? 'GET', timeout: 40_000,
      headers: { host: options.host ?? 'localhost', ...options.headers }, ...(options.agent ? { agent: options.agent } : {}),
    }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (text: string) => { body += text; });
      incoming.on('end', () => finish({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
      incoming.on('error', (error) => finish({ error: `response: ${error.message}` }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in 40 s')));
    outgoing.on('error', (error) => finish({ error: error.message }));
    outgoing.end();
  });
}

/** Keeps a steady number of requests under way until it is stopped. */
export function startTraffic(options: TrafficOptions): Traffic {
  const answers: Answer[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });
  const waiters: { at: number; resolve: () => void }[] = [];
  let running = true;
  const lanes = Array.from({ length: options.concurrency }, async (_, lane) => {
    while (running) {
      answers.push(await ask({ ...options, agent, lane }));
      for (const waiter of waiters.filter(({ at }) => answers.length >= at)) waiter.resolve();
      if (options.pauseMs) await new Promise((resolve) => { setTimeout(resolve, options.pauseMs); });
    }
  });
  return {
    answers,
    more: (count) => new Promise((resolve) => { waiters.push({ at: answers.length + count, resolve }); }),
    async stop() {
      running = false;
      await Promise.all(lanes);
      agent.destroy();
      return answers;
    },
  };
}
