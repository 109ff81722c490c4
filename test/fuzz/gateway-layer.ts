import { ProxiesUnderTest, type Proxy, type ProxyOptions } from '../conformance/proxy-under-test.ts';
import { untilReachable } from '../conformance/connect/reachable.ts';
import { RawClient } from '../processes/raw-client.ts';
import type { CorpusEntry, FuzzFinding, FuzzLayer } from './layer.ts';
import { Outcomes } from './outcomes.ts';
import { loopback, type Transport } from './transport.ts';
import { Undisturbed } from './undisturbed.ts';
import { Vitals } from './vitals.ts';
import { Hearing } from './witness/hearing.ts';
import type { CapturedStream } from './witness/jury.ts';

/** What a layer tries on a gateway process. */
export interface GatewayTrial {
  readonly upstream: FuzzUpstream;
  /** The case that follows from the seed, judged. */
  judge(seed: number, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]>;
  /** A case that was found before. */
  replay(entry: CorpusEntry, gateway: GatewayUnderFuzz): Promise<readonly FuzzFinding[]>;
}

/** The side behind the gateway, in this process. */
export interface FuzzUpstream {
  readonly port: number;
  /** What came on connections that have ended, for the witnesses; whoever reads it takes it out. */
  readonly streams?: CapturedStream[];
  /** Forgets what is known of a client, by the first half of its tokens. */
  forget?(prefix: string): void;
  /** Ends idle connections, so that their streams are there. */
  drop?(): Promise<void>;
  close(): Promise<void>;
}

export interface GatewayUnderFuzz {
  /** A connection to it. */
  open(): Promise<RawClient>;
  readonly outcomes: Outcomes;
  readonly undisturbed: Undisturbed;
  /** Cases cost so little that short ones are cut at every place. */
  readonly exhaustive: boolean;
  /** Another sidecar stands behind it, and they speak HTTP/2. */
  readonly hopOverHttp2: boolean;
}

export interface GatewayTrialKind {
  readonly name: string;
  /** What its cases are, for the summary. */
  readonly noun: string;
  readonly start: (transport: Transport) => Promise<GatewayTrial>;
  readonly proxy?: Pick<ProxyOptions, 'hops' | 'protocol'>;
  /** Cases at once. */
  readonly parallel: number;
  /** Whether witnesses read what reached the upstream. */
  readonly witnessed: boolean;
}

/** Cases through a gateway process: starts it before an upstream of ours, runs cases side by side, and looks at what it holds in the end. */
export class GatewayLayer implements FuzzLayer {
  readonly name: string;
  cases = 0;
  readonly #kind: GatewayTrialKind;
  readonly #outcomes = new Outcomes();
  #hearing: Hearing | null = null;
  #trial!: GatewayTrial;
  #proxies!: ProxiesUnderTest;
  #proxy!: Proxy;
  #gateway!: GatewayUnderFuzz;
  #vitals!: Vitals;

  constructor(kind: GatewayTrialKind) {
    this.#kind = kind;
    this.name = kind.name;
  }

  async begin(): Promise<readonly string[]> {
    if (this.#kind.witnessed) this.#hearing = await Hearing.open();
    this.#trial = await this.#kind.start(loopback);
    this.#proxies = await ProxiesUnderTest.start();
    this.#proxy = await this.#proxies.proxy({ ...this.#kind.proxy, upstreamPort: this.#trial.upstream.port, documents: patience });
    await untilReachable(this.#proxy.port, false);
    this.#vitals = await Vitals.take(this.#proxy);
    this.#gateway = { open: () => RawClient.open(this.#proxy.port), outcomes: this.#outcomes, undisturbed: new Undisturbed(this.#proxy.sidecars), exhaustive: false, hopOverHttp2: this.#kind.proxy?.hops === 2 };
    return this.#hearing?.missing ?? [];
  }

  async round(seed: number): Promise<readonly FuzzFinding[]> {
    const found = await Promise.all(Array.from({ length: this.#kind.parallel }, (_, nth) => this.#one((seed + nth) >>> 0)));
    if (this.cases > warmCases) this.#vitals.warm();
    return [...found.flat(), ...await this.#hear(false)];
  }

  async #one(seed: number): Promise<readonly FuzzFinding[]> {
    this.cases++;
    return guarded(this.name, seed, () => this.#trial.judge(seed, this.#gateway));
  }

  replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]> {
    return guarded(this.name, entry.seed, () => this.#trial.replay(entry, this.#gateway));
  }

  async #hear(all: boolean): Promise<FuzzFinding[]> {
    if (this.#hearing === null) return [];
    for (const stream of this.#trial.upstream.streams?.splice(0) ?? []) this.#hearing.add(stream);
    return all || this.#hearing.due ? this.#hearing.judge() : [];
  }

  async end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }> {
    const findings: FuzzFinding[] = [];
    await this.#trial.upstream.drop?.();
    findings.push(...await this.#hear(true));
    for (const problem of [this.#gateway.undisturbed.unexplained, await this.#vitals.compare()]) {
      if (problem !== '') findings.push({ entry: { layer: this.name, name: 'afterwards', seed: 0, bytes: '', setting: {} }, problem });
    }
    await this.#proxies.end();
    await this.#trial.upstream.close();
    await this.#hearing?.close();
    const parts = [`${this.cases} ${this.#kind.noun} (${this.#outcomes.text})`, this.#hearing?.summary, this.#gateway.undisturbed.summary, this.#vitals.summary];
    return { findings, summary: parts.filter(Boolean).join('; ') };
  }
}

/** A case that cannot be brought to an end is a finding. */
export async function guarded(layer: string, seed: number, run: () => Promise<readonly FuzzFinding[]>): Promise<readonly FuzzFinding[]> {
  try {
    return await run();
  } catch (error) {
    return [{ entry: { layer, name: `seed-${seed}`, seed, bytes: '', setting: {} }, problem: error instanceof Error ? error.message : String(error) }];
  }
}

/** Buffers and code are being made until then. */
const warmCases = 500;

/** No limit in time that a busy machine could reach: what waits for ever is a finding, what is slow is none. */
const patience = ['gateway: NAME', 'service: NAME-app'].flatMap((target, nth) => [
  `{kind: Policy, name: NAME-timeout-${nth}, target: {${target}}, timeout: {connect: 60s, request: 60s, idle: 60s}}`,
  `{kind: Policy, name: NAME-limits-${nth}, target: {${target}}, requestLimits: {headerTimeout: 60s, bodyTimeout: 60s, minBodyRate: 0B, idleTimeout: 60s}}`,
]).join('\n---\n');

/** A client that waits longer than the gateway does. */
export const clientPatienceMs = 90_000;
