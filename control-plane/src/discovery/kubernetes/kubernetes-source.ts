import { setMaxListeners } from 'node:events';
import { z } from 'zod';
import type { Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { DiscoverySource, Following, SourceObserver, SourceTarget } from '../discovery-source.ts';
import { retryAfterMs } from '../retry-pace.ts';
import { KubernetesClient, KubernetesError, type KubernetesClientDeps } from './kubernetes-client.ts';
import { linesOf } from './json-lines.ts';
import { endpointSlice, serviceLabel, sliceInstances, type EndpointSlice } from './slice-instances.ts';

export interface KubernetesSourceDeps extends KubernetesClientDeps {
  readonly timers: Timers;
  readonly random: Random;
}

const slicesMax = 10_000;
const pageItems = '500';

const list = z.object({ metadata: z.object({ resourceVersion: z.string(), continue: z.string().nullish() }), items: z.array(z.unknown()) });
const event = z.object({ type: z.string(), object: z.unknown() });
const versioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });
const status = z.object({ code: z.number().nullish(), message: z.string().nullish() });

/** Instances from the EndpointSlices of a Kubernetes Service: a list, then a watch from there; a list again when the API forgot what came after it (410 Gone). */
export function createKubernetesSource(deps: KubernetesSourceDeps): DiscoverySource {
  const client = new KubernetesClient(deps);
  const all = new Set<KubernetesFollowing>();
  return {
    kind: 'kubernetes',
    follow(target, observer) {
      const following = new KubernetesFollowing(target, observer, deps, client, () => void all.delete(following));
      all.add(following);
      void following.run();
      return following;
    },
    close() {
      for (const following of all) following.close();
      client.close();
    },
  };
}

class KubernetesFollowing implements Following {
  readonly #target: SourceTarget;
  readonly #observer: SourceObserver;
  readonly #deps: KubernetesSourceDeps;
  readonly #client: KubernetesClient;
  readonly #closed: () => void;
  readonly #abort = new AbortController();
  readonly #path: string;
  readonly #selector: string;
  #slices = new Map<string, EndpointSlice>();
  /** Where the next watch begins; '' : a list is needed first. */
  #version = '';
  #timer: Timer | null = null;
  #failures = 0;

  constructor(target: SourceTarget, observer: SourceObserver, deps: KubernetesSourceDeps, client: KubernetesClient, closed: () => void) {
    this.#target = target;
    this.#observer = observer;
    this.#deps = deps;
    this.#client = client;
    this.#closed = closed;
    const { namespace = 'default', service = target.service } = target.discovery.kubernetes ?? {};
    this.#path = `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`;
    this.#selector = `${serviceLabel}=${service}`;
    // Every request listens to its end.
    setMaxListeners(0, this.#abort.signal);
  }

  close(): void {
    this.#timer?.cancel();
    this.#abort.abort();
    this.#closed();
  }

  async run(): Promise<void> {
    try {
      if (this.#version === '') await this.#list();
      await this.#watch();
      // The server ends a watch after its time: the next begins where it was, and that nothing is new is an answer too.
      this.#failures = 0;
      this.#tell();
      this.#again(0);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      // What the API forgot is listed again at once, and only then is it a failure.
      const forgot = error instanceof KubernetesError && error.status === 410 && this.#version !== '';
      if (error instanceof KubernetesError || error instanceof SyntaxError) this.#version = '';
      if (forgot) return this.#again(0);
      const { namespace = 'default', service = this.#target.service } = this.#target.discovery.kubernetes ?? {};
      this.#observer.failed(`Kubernetes at ${this.#deps.address}, ${namespace}/${service}: ${reasonOf(error)}`);
      this.#again(retryAfterMs(++this.#failures, this.#deps.random));
    }
  }

  #again(delayMs: number): void {
    if (!this.#abort.signal.aborted) this.#timer = this.#deps.timers.after(delayMs, () => void this.run());
  }

  #tell(): void {
    if (this.#abort.signal.aborted) return;
    const { instances, problems } = sliceInstances(this.#slices.values(), this.#target);
    this.#observer.answered(instances, problems);
  }

  async #list(): Promise<void> {
    const { deadlineMs, answerBytes } = this.#client.limits;
    const slices = new Map<string, EndpointSlice>();
    let bytes = 0;
    let next = '';
    for (;;) {
      const body = await this.#client.get(this.#path, { labelSelector: this.#selector, limit: pageItems, ...(next !== '' && { continue: next }) }, { signal: this.#abort.signal, bodyTimeoutMs: deadlineMs });
      const chunks: Buffer[] = [];
      for await (const chunk of body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > answerBytes) throw new KubernetesError(0, `its list has more than ${answerBytes} bytes`);
        chunks.push(chunk);
      }
      const page = list.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      if (!page.success) throw new KubernetesError(0, 'its list cannot be read');
      for (const item of page.data.items) put(slices, item);
      next = page.data.metadata.continue ?? '';
      if (next !== '') continue;
      this.#slices = slices;
      this.#version = page.data.metadata.resourceVersion;
      this.#failures = 0;
      return this.#tell();
    }
  }

  async #watch(): Promise<void> {
    const { watchSeconds, graceMs, eventBytes } = this.#client.limits;
    const seconds = Math.ceil(watchSeconds * (1 + this.#deps.random.next() / 4));
    const body = await this.#client.get(this.#path, {
      labelSelector: this.#selector, watch: 'true', allowWatchBookmarks: 'true', resourceVersion: this.#version, timeoutSeconds: String(seconds),
    }, { signal: this.#abort.signal, bodyTimeoutMs: seconds * 1_000 + graceMs });
    for await (const lines of linesOf(body as AsyncIterable<Buffer>, eventBytes)) {
      let changed = false;
      for (const line of lines) changed = this.#take(line) || changed;
      if (changed) this.#tell();
    }
  }

  /** Says whether the slices may be others now. */
  #take(line: string): boolean {
    const read = event.safeParse(JSON.parse(line));
    if (!read.success) throw new KubernetesError(0, 'an event of its watch cannot be read');
    const { type, object } = read.data;
    if (type === 'ERROR') {
      const said = status.safeParse(object);
      throw new KubernetesError(said.data?.code ?? 0, said.data?.message?.slice(0, 200) ?? 'its watch failed');
    }
    const at = versioned.safeParse(object);
    if (at.success) this.#version = at.data.metadata.resourceVersion;
    if (type === 'BOOKMARK') return false;
    if (type === 'DELETED') return drop(this.#slices, object);
    return put(this.#slices, object);
  }
}

function put(slices: Map<string, EndpointSlice>, value: unknown): boolean {
  const read = endpointSlice.safeParse(value);
  if (!read.success) throw new KubernetesError(0, `an EndpointSlice cannot be read: /${read.error.issues[0]?.path.join('/') ?? ''}`);
  if (slices.size >= slicesMax && !slices.has(read.data.metadata.name)) throw new KubernetesError(0, `it has more than ${slicesMax} EndpointSlices`);
  slices.set(read.data.metadata.name, read.data);
  return true;
}

function drop(slices: Map<string, EndpointSlice>, value: unknown): boolean {
  const read = endpointSlice.safeParse(value);
  return read.success && slices.delete(read.data.metadata.name);
}

function reasonOf(error: unknown): string {
  if (error instanceof KubernetesError) return error.message;
  if (error instanceof SyntaxError) return 'its answer is no JSON';
  const { code, message = String(error), cause } = (typeof error === 'object' && error !== null ? error : {}) as { readonly code?: string; readonly message?: string; readonly cause?: { readonly code?: string } };
  if (code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'it is hung: no answer in time';
  return cause?.code ?? code ?? message;
}
