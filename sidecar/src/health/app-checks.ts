import type { Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import { hostHealth } from '@remora/policy-kit/host-states';
import { policiesOfField, type EffectiveSection } from '@remora/snapshot/effective-settings';
import type { InboundPort, Snapshot } from '@remora/snapshot/snapshot';
import { askedProtocol, speaksHttp2 } from './health-checks.ts';
import { HealthMachine } from './health-machine.ts';
import type { HealthProbe, ProbeQuestion } from './health-probe.ts';
import type { HealthRecord } from './health-record.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface AppChecksDeps {
  /** Where the app serves, by port; '' for every port without an app of its own. */
  readonly apps: ReadonlyMap<string, Address>;
  readonly probe: HealthProbe;
  readonly record: HealthRecord;
  readonly timers: Timers;
  readonly random: Random;
  /** Whether the app was ready until now: a policy that comes while it serves takes it out only when checks have failed often enough. */
  readonly wasReady: () => boolean;
  readonly onChange: () => void;
}

/** One port of the app that is asked again and again. */
interface Asked {
  readonly service: string;
  readonly inbound: InboundPort;
  readonly section: EffectiveSection;
  readonly settings: HealthCheckSettings;
  readonly address: string;
  readonly question: ProbeQuestion;
  readonly machine: HealthMachine;
  readonly wasReady: boolean;
  timer: Timer | null;
  problem: string;
}

/**
 * Asks the own app as the service's `healthCheck` says, in the control thread: what is not well leaves the endpoint sets of callers, whoever they are, before any of
 * them has to find out. Each inbound port is asked by itself, and all have to be well; in shadow it is told of, and counts as well.
 */
export class AppChecks {
  readonly #deps: AppChecksDeps;
  #asked: ReadonlyMap<string, Asked> = new Map();
  #closed = false;

  constructor(deps: AppChecksDeps) {
    this.#deps = deps;
  }

  /** The snapshot is enforced. */
  follow({ subject, inbounds }: Snapshot): void {
    const before = this.#asked;
    const after = new Map<string, Asked>();
    for (const inbound of inbounds.values()) {
      const known = before.get(inbound.name);
      const next = known?.inbound.hash === inbound.hash ? known : this.#made(subject.name, inbound, known);
      if (next !== null) after.set(inbound.name, next);
    }
    this.#asked = after;
    for (const [name, asked] of before) if (after.get(name) !== asked) this.#forget(asked);
    for (const [name, asked] of after) if (before.get(name) !== asked) void this.#ask(asked);
    this.#deps.onChange();
  }

  /** False: some port is not well. True where nobody says how to ask. */
  get well(): boolean {
    return [...this.#asked.values()].every(isWell);
  }

  /** Why it is not, in a few words; '' where it is. */
  get problem(): string {
    const ill = [...this.#asked.values()].find((asked) => !isWell(asked));
    if (ill === undefined) return '';
    const { settings, address, problem, machine } = ill;
    return problem === '' ? `the check of ${address} has not been answered yet` : `${machine.inARow} ${machine.inARow === 1 ? 'check' : 'checks in a row'} of ${address} failed (${describeCheck(ill.question, settings)}): ${problem}`;
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#asked.values()) timer?.cancel();
  }

  #made(service: string, inbound: InboundPort, known: Asked | undefined): Asked | null {
    const section = inbound.appChecks.sections.find(({ kind }) => kind === 'healthCheck');
    if (section === undefined) return null;
    const settings = section.settings as HealthCheckSettings;
    const { apps } = this.#deps;
    const at = apps.get(settings.port === '' ? inbound.name : settings.port) ?? apps.get('');
    if (at === undefined) return null;
    return {
      service, inbound, section, settings, address: `${at.host}:${at.port}`, machine: new HealthMachine(), timer: null, problem: '',
      wasReady: known === undefined ? this.#deps.wasReady() : isWell(known),
      question: {
        host: { service, address: `${at.host}:${at.port}`, at, endpoint: { source: 'app', mtls: false } }, settings, protocol: askedProtocol(inbound.protocol, settings), http2: speaksHttp2(inbound.protocol), tls: null,
        proxyProtocol: inbound.proxyProtocol,
      },
    };
  }

  #forget({ timer, machine, service, address }: Asked): void {
    timer?.cancel();
    if (machine.health === hostHealth.unhealthy) this.#tell({ service, address, event: 'ended', detail: 'it is checked no more, or differently', pointer: '', policy: '' });
  }

  async #ask(asked: Asked): Promise<void> {
    asked.timer = null;
    const { problem } = await this.#deps.probe.ask(asked.question);
    if (this.#closed || this.#asked.get(asked.inbound.name) !== asked) return;
    const wasWell = isWell(asked);
    asked.problem = problem;
    const before = asked.machine.health;
    if (asked.machine.answer(problem === '', asked.settings)) this.#changed(asked, before);
    if (isWell(asked) !== wasWell) this.#deps.onChange();
    const { intervalMs, jitter } = asked.settings;
    asked.timer = this.#deps.timers.after(intervalMs * (1 + jitter * (2 * this.#deps.random.next() - 1)), () => void this.#ask(asked));
  }

  #changed({ machine, section, service, address, problem }: Asked, before: number): void {
    const unhealthy = machine.health === hostHealth.unhealthy;
    if (!unhealthy && before === hostHealth.unchecked) return;
    const pointer = unhealthy ? '/unhealthyThreshold' : '/healthyThreshold';
    this.#tell({
      service, address, pointer, policy: policiesOfField(section.origins, pointer)[0] ?? '',
      event: unhealthy ? (section.shadow ? 'would-be-unhealthy' : 'unhealthy') : 'healthy',
      detail: `the app, by its own sidecar: ${machine.inARow} ${unhealthy ? `checks in a row failed: ${problem}` : 'checks in a row were good'}`,
    });
  }

  #tell({ service, address, event, detail, pointer, policy }: { readonly service: string; readonly address: string; readonly event: string; readonly detail: string; readonly pointer: string; readonly policy: string }): void {
    this.#deps.record.add({ kind: 'healthCheck', event, service, host: address, pointer, policy, detail, untilMs: 0 });
  }
}

function isWell({ machine, section, wasReady }: Asked): boolean {
  if (section.shadow) return true;
  return machine.health === hostHealth.unchecked ? wasReady : machine.health === hostHealth.healthy;
}

function describeCheck({ protocol }: ProbeQuestion, { http, grpcService }: HealthCheckSettings): string {
  if (protocol === 'http') return `${http.method} ${http.path}`;
  return protocol === 'grpc' ? `gRPC health${grpcService === '' ? '' : ` of ${grpcService}`}` : 'TCP';
}
