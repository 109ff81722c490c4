import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import Consul from 'consul';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { DiscoverySource, Following, SourceObserver, SourceTarget } from '../discovery-source.ts';
import { retryAfterMs } from '../retry-pace.ts';
import { boundedAgent } from './bounded-agent.ts';
import { consulInstances } from './consul-instances.ts';

export interface ConsulSourceDeps {
  /** `http://127.0.0.1:8500`. */
  readonly address: string;
  /** ACL token, asked for at each question; '' for none. */
  readonly token: () => string;
  /** PEM; '' for the authorities of the system. */
  readonly authority: () => string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<ConsulLimits>;
}

export interface ConsulLimits {
  /** How long a question may wait in the agent for a change. The agent adds up to a sixteenth. */
  readonly waitMs: number;
  /** What is added to that before an agent counts as hung. */
  readonly graceMs: number;
  /** Two questions are at least so far apart: a service that changes all the time is asked no more often. */
  readonly apartMs: number;
  readonly answerBytes: number;
}

const defaultLimits: ConsulLimits = { waitMs: 55_000, graceMs: 5_000, apartMs: 50, answerBytes: 64 * 1024 * 1024 };

/** Instances from the health of Consul services, by blocking queries: an answer comes when something changed. */
export function createConsulSource(deps: ConsulSourceDeps): DiscoverySource {
  const agent = new ConsulAgent(deps, { ...defaultLimits, ...deps.limits });
  const all = new Set<ConsulFollowing>();
  return {
    kind: 'consul',
    follow(target, observer) {
      const following = new ConsulFollowing(target, observer, deps, agent, () => void all.delete(following));
      all.add(following);
      void following.ask();
      return following;
    },
    close() {
      for (const following of all) following.close();
      agent.close();
    },
  };
}

/** A client for each namespace, made anew when the authorities are replaced. */
class ConsulAgent {
  readonly limits: ConsulLimits;
  readonly #deps: ConsulSourceDeps;
  readonly #clients = new Map<string, Consul>();
  #authority = '';

  constructor(deps: ConsulSourceDeps, limits: ConsulLimits) {
    this.#deps = deps;
    this.limits = limits;
  }

  client(namespace: string): Consul {
    const authority = this.#deps.authority();
    if (authority !== this.#authority) this.close();
    const known = this.#clients.get(namespace);
    if (known) return known;
    this.#authority = authority;
    const { protocol, hostname, port } = new URL(this.#deps.address);
    const secure = protocol === 'https:';
    const options = {
      host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (secure ? 443 : 80) : Number(port), secure, agent: boundedAgent({ secure, authority, answerBytes: this.limits.answerBytes }),
      // The client has no option for the namespace of a question about health.
      headers: namespace === '' ? {} : { 'x-consul-namespace': namespace },
    };
    const made = new Consul(options);
    this.#clients.set(namespace, made);
    return made;
  }

  close(): void {
    for (const client of this.#clients.values()) client.destroy();
    this.#clients.clear();
  }
}

/** Tells the client to give up a question, and to hand over the whole response. */
class Question extends EventEmitter {
  readonly includeResponse = true;
}

class ConsulFollowing implements Following {
  readonly #target: SourceTarget;
  readonly #observer: SourceObserver;
  readonly #deps: ConsulSourceDeps;
  readonly #agent: ConsulAgent;
  readonly #closed: () => void;
  #question: Question | null = null;
  #timer: Timer | null = null;
  #failures = 0;
  /** Of the last answer; '0' for none: the next one comes at once. */
  #index = '0';
  #over = false;

  constructor(target: SourceTarget, observer: SourceObserver, deps: ConsulSourceDeps, agent: ConsulAgent, closed: () => void) {
    this.#target = target;
    this.#observer = observer;
    this.#deps = deps;
    this.#agent = agent;
    this.#closed = closed;
  }

  close(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#question?.emit('cancel');
    this.#closed();
  }

  async ask(): Promise<void> {
    const startedMs = this.#deps.clock.monotonicMs();
    try {
      const [response, body] = await this.#query();
      if (this.#over) return;
      const index = nextIndex(this.#index, response.headers['x-consul-index']);
      // An agent that forgot what it knew counts from the beginning: what it says now is taken, and asked for anew.
      this.#index = index;
      this.#failures = 0;
      const { instances, problems } = consulInstances(body, this.#target);
      this.#observer.answered(instances, problems);
      this.#again(Math.max(0, startedMs + this.#agent.limits.apartMs - this.#deps.clock.monotonicMs()));
    } catch (error) {
      if (this.#over) return;
      // After a failure nothing is known of what happened meanwhile.
      this.#index = '0';
      this.#observer.failed(`Consul at ${this.#deps.address}, ${this.#name()}: ${reasonOf(error)}`);
      this.#again(retryAfterMs(++this.#failures, this.#deps.random));
    } finally {
      this.#question = null;
    }
  }

  #again(delayMs: number): void {
    this.#timer = this.#deps.timers.after(delayMs, () => void this.ask());
  }

  #name(): string {
    return this.#target.discovery.consul?.service ?? this.#target.service;
  }

  async #query(): Promise<readonly [IncomingMessage, unknown]> {
    const { datacentre, namespace = '', partition, tags } = this.#target.discovery.consul ?? {};
    const { waitMs, graceMs } = this.#agent.limits;
    const token = this.#deps.token();
    this.#question = new Question();
    // `passing` is left to us: instances in maintenance are leaving, those that warn have a weight of their own.
    const options = {
      service: this.#name(), ctx: this.#question, timeout: Math.ceil((this.#index === '0' ? 0 : waitMs * (1 + 1 / 16)) + graceMs),
      ...(this.#index !== '0' && { index: this.#index, wait: `${waitMs}ms` }),
      ...(token !== '' && { token }), ...(datacentre !== undefined && { dc: datacentre }), ...(partition !== undefined && { partition }),
      ...(tags !== undefined && { filter: tags.map((tag) => `${JSON.stringify(tag)} in Service.Tags`).join(' and ') }),
    };
    const answer: unknown = await this.#agent.client(namespace).health.service(options);
    if (!Array.isArray(answer)) throw new Error('its answer cannot be read');
    return answer as unknown as readonly [IncomingMessage, unknown];
  }
}

/** What to ask with next: '0' where the agent's index went back, or is none (as Consul's documentation of blocking queries wants it). */
export function nextIndex(before: string, header: string | readonly string[] | undefined): string {
  const text = typeof header === 'string' && /^\d{1,20}$/.test(header) ? header : '0';
  return BigInt(text) < BigInt(before) ? '0' : BigInt(text).toString();
}

interface ConsulFailure {
  readonly message?: string;
  readonly code?: string;
  readonly statusCode?: number;
  readonly response?: { readonly statusCode?: number; readonly body?: unknown };
}

/** What went wrong, without the words that the client puts before it, and without anything secret. */
function reasonOf(error: unknown): string {
  const { message = '', code, response } = (typeof error === 'object' && error !== null ? error : {}) as ConsulFailure;
  const status = response?.statusCode;
  if (status !== undefined && status >= 300) {
    const body = response?.body;
    const said = typeof body === 'string' || Buffer.isBuffer(body) ? `: ${body.toString().trim().slice(0, 200)}` : '';
    return status === 403 ? `the token may not read it (403${said})` : `answered ${status}${said}`;
  }
  if (/request timed out/.test(message)) return 'it is hung: no answer in time';
  return code ?? message.replace(/^consul: (?:health\.service: )?/, '');
}
