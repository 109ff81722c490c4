import { seededRandom, type Random } from '@remora/core/random';
import { hostHealth } from '@remora/policy-kit/host-states';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { HealthChecker } from '@remora/sidecar/health/health-checker';
import type { ServiceChecks } from '@remora/sidecar/health/health-checks';
import type { ProbeAnswer, ProbeQuestion } from '@remora/sidecar/health/health-probe';
import { HealthRecord } from '@remora/sidecar/health/health-record';
import { HostSlots, type KnownHost } from '@remora/sidecar/upstream/host-slots';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { ManualTimers } from '@remora/testing/manual-timers';
import { CheckInvariants, type CheckTerms } from './check-invariants.ts';

const stepMs = 20;
const faultyMs = 30_000;
const hostsMax = 8;
const service = 'payments';

/** What an instance does with a question. */
type Mood = 'well' | 'late' | 'ill' | 'silent' | 'flaps';
const moods: readonly Mood[] = ['well', 'well', 'late', 'ill', 'silent', 'flaps'];

export interface ChecksReport {
  readonly violations: readonly string[];
  readonly asked: number;
  readonly changes: number;
  readonly unhealthy: number;
  readonly moves: number;
}

/** One seeded run of the real active checks of a caller: instances come, go, fall ill in many ways and recover, while the policy is edited, put in shadow and taken away. */
export class SimChecks {
  readonly #random: Random;
  readonly #time = new ManualTimers();
  readonly #hosts = new HostSlots(this.#time.clock);
  readonly #record = new HealthRecord(this.#time.clock);
  readonly #invariants: CheckInvariants;
  readonly #checker: HealthChecker;
  readonly #moods = new Map<number, Mood>();
  /** Hosts that the invariants know, by what they are called there. */
  readonly #known = new Map<string, KnownHost>();
  #terms: CheckTerms;
  #unhealthy = 0;
  #moves = 0;
  #nextPort = 1;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#terms = this.#drawTerms('enforce');
    this.#invariants = new CheckInvariants(this.#terms);
    this.#checker = new HealthChecker({
      hosts: this.#hosts, record: this.#record, clock: this.#time.clock, timers: this.#time, random: this.#random, probe: { ask: (question) => this.#answer(question) },
    });
    for (let nth = 0; nth < 3; nth++) this.#moods.set(this.#nextPort++, 'well');
  }

  async run(): Promise<ChecksReport> {
    this.#follow();
    this.#grant();
    for (let left = faultyMs; left > 0; left -= stepMs) {
      if (this.#random.next() < 0.05) this.#move();
      await this.#step();
    }
    await this.#all('well', hostHealth.healthy);
    await this.#all('silent', hostHealth.unhealthy);
    this.#checker.close();
    const { violations, asked, changes } = this.#invariants;
    return { violations, asked, changes, unhealthy: this.#unhealthy, moves: this.#moves };
  }

  async #step(): Promise<void> {
    await this.#time.advance(stepMs);
    const nowMs = this.#time.clock.monotonicMs();
    for (const [name, { slot }] of this.#known) {
      const health = this.#hosts.states.health(slot);
      if (health === hostHealth.unhealthy) this.#unhealthy += 1;
      this.#invariants.look(name, { health, ejected: this.#hosts.states.ejectedUntil(slot) > nowMs }, nowMs);
    }
  }

  /** Something happens to an instance, or somebody edits the policy. */
  #move(): void {
    this.#moves += 1;
    const ports = [...this.#moods.keys()];
    const port = ports[Math.floor(this.#random.next() * ports.length)] ?? 0;
    const what = this.#random.next();
    if (what < 0.6) this.#moods.set(port, moods[Math.floor(this.#random.next() * moods.length)] ?? 'well');
    else if (what < 0.7) {
      if (this.#moods.size < hostsMax) this.#moods.set(this.#nextPort++, moods[Math.floor(this.#random.next() * moods.length)] ?? 'well');
      this.#grant();
    } else if (what < 0.8) {
      if (this.#moods.size > 1) this.#moods.delete(port);
      this.#grant();
    } else if (what < 0.9) {
      const slot = this.#hosts.of(service).find(({ at }) => at.port === port)?.slot;
      if (slot !== undefined) this.#hosts.states.setEjectedUntil(slot, this.#time.clock.monotonicMs() + 60_000);
    } else this.#edit(this.#drawTerms(this.#random.next() < 0.5 ? 'enforce' : this.#random.next() < 0.5 ? 'shadow' : 'off'));
  }

  /** Long enough for everybody to be asked as often as it takes. */
  async #all(mood: Mood, health: number): Promise<void> {
    this.#edit({ ...this.#terms, mode: 'enforce' });
    for (const port of this.#moods.keys()) this.#moods.set(port, mood);
    const { intervalMs, jitter, timeoutMs, unhealthyThreshold, healthyThreshold } = this.#terms;
    const longestMs = 2 * intervalsMax + (Math.max(unhealthyThreshold, healthyThreshold) + 1) * (intervalMs * (1 + jitter) + timeoutMs);
    for (let left = longestMs; left > 0; left -= stepMs) await this.#step();
    const found = this.#hosts.of(service).map(({ slot }) => this.#hosts.states.health(slot));
    const told = this.#hosts.of(service).filter(({ address }) => this.#record.heldSince('healthCheck', service, address) !== null).length;
    const wanted = health === hostHealth.unhealthy ? found.length : 0;
    if (found.some((one) => one !== health)) this.#invariants.violations.push(`when all are ${mood} hosts are ${found.join(', ')}, and not all ${health}`);
    if (told !== wanted) this.#invariants.violations.push(`when all are ${mood} people are told of ${told} that are not well`);
    if (this.#checker.counts.checked !== found.length || this.#checker.counts.unhealthy !== wanted) this.#invariants.violations.push(`when all are ${mood} the counts say ${JSON.stringify(this.#checker.counts)}`);
  }

  #edit(terms: CheckTerms): void {
    this.#terms = terms;
    this.#invariants.change(terms, this.#time.clock.monotonicMs());
    this.#follow();
  }

  #follow(): void {
    const { mode, ...rest } = this.#terms;
    const settings: ServiceChecks['settings'] = { ...rest, protocol: '', port: '', http: { path: '/', host: '', method: 'GET', statuses: [{ from: 200, to: 299 }], bodyContains: '', headers: [] }, grpcService: '' };
    const sections = mode === 'off' ? [] : [{ kind: 'healthCheck', settings, shadow: mode === 'shadow', origins: [] }];
    const ports = [{ name: 'http', port: 80, protocol: 'http', tls: null, proxyProtocol: 0 }];
    this.#checker.follow({ destinations: new Map([[service, { service, ports, settings: { hash: '', sections } }]]) } as unknown as Snapshot);
  }

  #grant(): void {
    const endpoints = [...this.#moods.keys()].map((port) => ({ id: `p${port}`, ports: [{ name: 'http', host: '10.0.0.1', port, protocols: [] }], weight: 1, source: 'static' }));
    const nowMs = this.#time.clock.monotonicMs();
    this.#hosts.grant({ sets: [EndpointSet.encode(EndpointSet.fromPartial({ service, endpoints })).finish()], removed: [] });
    const there = new Map(this.#hosts.of(service).map((host) => [nameOf(host), host]));
    for (const name of this.#known.keys()) if (!there.has(name)) this.#invariants.gone(name);
    for (const [name, host] of there) {
      if (!this.#known.has(name)) this.#invariants.came(name, nowMs);
      this.#known.set(name, host);
    }
    for (const name of this.#known.keys()) if (!there.has(name)) this.#known.delete(name);
    this.#hosts.release(this.#hosts.takeLeaving());
  }

  async #answer({ host }: ProbeQuestion): Promise<ProbeAnswer> {
    const asked = host as KnownHost;
    const name = nameOf(asked);
    const epoch = this.#invariants.question(name, this.#time.clock.monotonicMs());
    const terms = this.#terms;
    const mood = this.#moods.get(asked.at.port) ?? 'silent';
    const good = mood === 'well' || mood === 'late' || (mood === 'flaps' && this.#random.next() < 0.5);
    const tookMs = mood === 'silent' ? terms.timeoutMs : mood === 'late' ? terms.timeoutMs * this.#random.next() : 20 * this.#random.next();
    await new Promise<void>((resolve) => { this.#time.after(tookMs, resolve); });
    this.#invariants.answer(name, epoch, good, this.#time.clock.monotonicMs());
    return { problem: good ? '' : mood === 'silent' ? 'no answer in time' : '503' };
  }

  #drawTerms(mode: CheckTerms['mode']): CheckTerms {
    const draw = (from: number, to: number): number => from + Math.floor(this.#random.next() * (to - from + 1));
    return { mode, intervalMs: draw(2, intervalsMax / 100) * 100, jitter: draw(0, 3) / 10, timeoutMs: draw(1, 3) * 50, unhealthyThreshold: draw(1, 4), healthyThreshold: draw(1, 4) };
  }
}

const intervalsMax = 1_000;

function nameOf({ id, since }: KnownHost): string {
  return `${id} of ${since}`;
}
