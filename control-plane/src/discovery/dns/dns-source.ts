import type { Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { parseDurationMs } from '@remora/core/units';
import type { DiscoverySource, Following, SourceObserver, SourceTarget } from '../discovery-source.ts';
import type { FoundInstance } from '../found-instance.ts';
import { DnsError } from './dns-client.ts';
import type { DnsFound, DnsLookup } from './dns-lookup.ts';
import type { DnsRecord } from './dns-message.ts';

export interface DnsSourceDeps {
  readonly lookup: DnsLookup;
  readonly timers: Timers;
  readonly random: Random;
}

const defaultMinTtl = '5s';
const defaultMaxTtl = '5m';
/** Share of a time to live by which the next question may be later, so that not all come at once. */
const jitterShare = 0.1;
const retryFirstMs = 1_000;
const retryMaxMs = 30_000;
/** SRV records that are used; each may need a look-up of its own. */
const targetsMax = 256;
const lookupsAtOnce = 8;

/** Instances from A, AAAA and SRV records. "There is none" is taken for a failure: names that answer nothing for a moment are common, services without instances are not. */
export function createDnsSource(deps: DnsSourceDeps): DiscoverySource {
  const all = new Set<DnsFollowing>();
  return {
    kind: 'dns',
    follow(target, observer) {
      const following = new DnsFollowing(target, observer, deps, () => void all.delete(following));
      all.add(following);
      following.ask();
      return following;
    },
    close() {
      for (const following of all) following.close();
    },
  };
}

interface Answer {
  readonly instances: readonly FoundInstance[];
  readonly problems: readonly string[];
  readonly ttlS: number;
}

class DnsFollowing implements Following {
  readonly #target: SourceTarget;
  readonly #settings: NonNullable<SourceTarget['discovery']['dns']>;
  readonly #observer: SourceObserver;
  readonly #deps: DnsSourceDeps;
  readonly #closed: () => void;
  #timer: Timer | null = null;
  #failures = 0;
  #over = false;

  constructor(target: SourceTarget, observer: SourceObserver, deps: DnsSourceDeps, closed: () => void) {
    this.#target = target;
    this.#settings = target.discovery.dns ?? { name: target.service };
    this.#observer = observer;
    this.#deps = deps;
    this.#closed = closed;
  }

  close(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#closed();
  }

  ask(): void {
    void this.#find().then((answer) => this.#took(answer), (error: unknown) => this.#took(error instanceof DnsError ? error.message : `unexpected: ${String(error)}`));
  }

  #took(answer: Answer | string): void {
    if (this.#over) return;
    if (typeof answer === 'string') {
      this.#observer.failed(`DNS, ${this.#settings.name}: ${answer}`);
      this.#again(Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(10, this.#failures++)));
      return;
    }
    this.#failures = 0;
    this.#observer.answered(answer.instances, answer.problems);
    const { minTtl = defaultMinTtl, maxTtl = defaultMaxTtl } = this.#settings;
    this.#again(Math.min(parseDurationMs(maxTtl) ?? 0, Math.max(parseDurationMs(minTtl) ?? 0, answer.ttlS * 1_000)));
  }

  #again(delayMs: number): void {
    if (this.#over) return;
    this.#timer = this.#deps.timers.after(delayMs * (1 + jitterShare * this.#deps.random.next()), () => this.ask());
  }

  #find(): Promise<Answer | string> {
    return this.#settings.records === 'srv' ? this.#services() : this.#addresses();
  }

  async #addresses(): Promise<Answer | string> {
    const { name, labels = {}, locality = '' } = this.#settings;
    const found = await this.#addressesOf(name);
    if (found.records.length === 0) return found.reason;
    const instances = addressesIn(found.records).map((host): FoundInstance => ({
      id: host, ports: this.#ports(host), labels, locality, weight: 1, backup: false, draining: false,
    }));
    return { instances, problems: [], ttlS: found.ttlS };
  }

  #ports(host: string): FoundInstance['ports'] {
    const { port, ports = {} } = this.#settings;
    return this.#target.ports.map((one) => ({ name: one.name, host, port: (Object.hasOwn(ports, one.name) ? ports[one.name] : undefined) ?? port ?? one.port }));
  }

  /** By the families that are asked for. A family that nobody answers for does not take away what the other has, where one of them is enough. */
  async #addressesOf(name: string): Promise<DnsFound> {
    const { lookup } = this.#deps;
    const { addresses = 'auto' } = this.#settings;
    if (addresses === 'ipv4') return lookup(name, 'A');
    if (addresses === 'ipv6') return lookup(name, 'AAAA');
    const four = await lookup(name, 'A');
    if (addresses === 'auto' && four.records.length > 0) return four;
    const six = await lookup(name, 'AAAA');
    const records = [...four.records, ...six.records];
    const parts = [four, six].filter((one) => one.records.length > 0);
    if (parts.length === 0) return { ...six, reason: four.reason === six.reason ? four.reason : 'it has no address' };
    return { records, additional: [], ttlS: Math.min(...parts.map((one) => one.ttlS)), reason: '' };
  }

  async #services(): Promise<Answer | string> {
    const found = await this.#deps.lookup(this.#settings.name, 'SRV');
    const records = found.records.filter((one) => one.type === 'SRV');
    if (records.length === 0) return found.reason;
    // RFC 2782: the service is decidedly not available.
    const offered = records.filter(({ target }) => target !== '.');
    if (offered.length === 0) return 'its SRV record says that there is no such service';
    const used = offered.sort((a, b) => a.priority - b.priority || (a.target < b.target ? -1 : 1)).slice(0, targetsMax);
    const problems = offered.length > targetsMax ? [`${offered.length} SRV records; the first ${targetsMax} are used`] : [];
    const hosts = await this.#hosts([...new Set(used.map(({ target }) => target))], found.additional, problems);
    const first = used[0]?.priority ?? 0;
    const unweighted = used.every(({ weight }) => weight === 0);
    const instances = used.flatMap(({ target, port, priority, weight }) => (hosts.get(target) ?? []).map((host): FoundInstance => ({
      id: `${target}:${port}/${host}`, ports: this.#target.ports.slice(0, 1).map(({ name }) => ({ name, host, port })),
      labels: this.#settings.labels ?? {}, locality: this.#settings.locality ?? '', weight: unweighted ? 1 : Math.max(1, weight), backup: priority > first, draining: false,
    })));
    return instances.length === 0 ? (problems[0] ?? 'none of its hosts has an address') : { instances, problems, ttlS: found.ttlS };
  }

  /** Addresses of hosts: what came along, or by asking. One that has none is left out and said. */
  async #hosts(targets: readonly string[], additional: readonly DnsRecord[], problems: string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const hosts = new Map<string, readonly string[]>();
    const missing: string[] = [];
    for (const target of targets) {
      const came = addressesIn(additional.filter(({ name, type }) => name === target && (type === 'A' || type === 'AAAA') && this.#wants(type)));
      if (came.length > 0) hosts.set(target, came);
      else missing.push(target);
    }
    const askNext = async (): Promise<void> => {
      for (let target = missing.shift(); target !== undefined; target = missing.shift()) {
        const found = await this.#addressesOf(`${target}.`);
        if (found.records.length > 0) hosts.set(target, addressesIn(found.records));
        else problems.push(`${target}: ${found.reason}`);
      }
    };
    await Promise.all(Array.from({ length: lookupsAtOnce }, askNext));
    return hosts;
  }

  #wants(type: 'A' | 'AAAA'): boolean {
    const { addresses = 'auto' } = this.#settings;
    return type === 'A' ? addresses !== 'ipv6' : addresses === 'ipv6' || addresses === 'both';
  }
}

function addressesIn(records: readonly DnsRecord[]): readonly string[] {
  return [...new Set(records.flatMap((one) => (one.type === 'A' || one.type === 'AAAA' ? [one.address] : [])))].sort();
}
