import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds at one moment: heaps after a full collection, by thread. */
export interface ProcessReading {
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: readonly ThreadReading[];
}

export interface ThreadReading {
  /** `main`, or the worker's name. */
  readonly name: string;
  readonly heapMiB: number;
  /** Memory outside the heap that objects hold. */
  readonly externalMiB: number;
  /** Open handles and requests, timers apart, by type. */
  readonly handles: number;
  readonly timers: number;
}

/**
 * Reads a process of Node's from outside, through its inspector (`--inspect=127.0.0.1:PORT --inspect-publish-uid=http`): collects all garbage first, so that
 * what remains is what is held.
 */
export class ProcessProbe {
  readonly #pid: number;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (result: Record<string, unknown>) => void>();
  readonly #workers = new Map<string, string>();
  #nextId = 0;

  static async attach(pid: number, port: number): Promise<ProcessProbe> {
    const [target] = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json() as { readonly webSocketDebuggerUrl: string }[];
    const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true });
      socket.addEventListener('error', () => reject(new Error(`no inspector on port ${port}`)), { once: true });
    });
    const probe = new ProcessProbe(pid, socket);
    await probe.#ask('', 'NodeWorker.enable', { waitForDebuggerOnStart: false });
    return probe;
  }

  private constructor(pid: number, socket: WebSocket) {
    this.#pid = pid;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#receive('', String(data)));
  }

  close(): void {
    this.#socket.close();
  }

  async read(): Promise<ProcessReading> {
    const threads: ThreadReading[] = [];
    for (const [session, name] of [['', 'main'] as const, ...this.#workers]) threads.push(await this.#readThread(session, name));
    return { residentMiB: residentMiB(this.#pid), descriptors: readdirSync(`/proc/${this.#pid}/fd`).length, threads };
  }

  async #readThread(session: string, name: string): Promise<ThreadReading> {
    await this.#ask(session, 'HeapProfiler.collectGarbage', {});
    const { result } = await this.#ask(session, 'Runtime.evaluate', { expression: readingExpression, returnByValue: true }) as { readonly result: { readonly value: Omit<ThreadReading, 'name'> } };
    return { name, ...result.value };
  }

  #receive(session: string, text: string): void {
    const message = JSON.parse(text) as { readonly id?: number; readonly result?: Record<string, unknown>; readonly method?: string; readonly params?: Record<string, unknown> };
    if (message.id !== undefined) {
      const key = `${session}/${message.id}`;
      this.#waiting.get(key)?.(message.result ?? {});
      this.#waiting.delete(key);
      return;
    }
    const { sessionId, workerInfo, message: inner } = (message.params ?? {}) as { readonly sessionId?: string; readonly workerInfo?: { readonly title?: string }; readonly message?: string };
    if (message.method === 'NodeWorker.attachedToWorker') this.#workers.set(sessionId ?? '', workerInfo?.title ?? 'worker');
    else if (message.method === 'NodeWorker.detachedFromWorker') this.#workers.delete(sessionId ?? '');
    else if (message.method === 'NodeWorker.receivedMessageFromWorker') this.#receive(sessionId ?? '', inner ?? '{}');
  }

  #ask(session: string, method: string, params: object): Promise<Record<string, unknown>> {
    const id = ++this.#nextId;
    const message = JSON.stringify({ id, method, params });
    return new Promise((resolve) => {
      this.#waiting.set(`${session}/${id}`, resolve);
      if (session === '') this.#socket.send(message);
      else void this.#ask('', 'NodeWorker.sendMessageToWorker', { sessionId: session, message });
    });
  }
}

/** Evaluated in the process; `Immediate`s come and go with each turn of the loop. */
const readingExpression = `(() => {
  const all = process.getActiveResourcesInfo().filter((type) => type !== 'Immediate');
  const timers = all.filter((type) => type === 'Timeout').length;
  const { heapUsed, external } = process.memoryUsage();
  return { heapMiB: heapUsed / 1048576, externalMiB: external / 1048576, handles: all.length - timers, timers };
})()`;

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
