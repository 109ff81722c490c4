import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Ports } from './addresses.ts';
import { DemoFailure } from './demo-failure.ts';
import { People } from './people.ts';
import type { DemoProcess, ProcessEvent, Supervisor } from './supervisor.ts';

/** A sidecar of the demo and the app beside it. */
export interface FleetMember {
  readonly nodeId: string;
  /** `service/orders`, `gateway/edge`. */
  readonly subject: string;
  readonly sidecar: DemoProcess;
  readonly app: DemoProcess | null;
  readonly ports: SidecarPorts;
}

/** What a sidecar bound; 0 where it has no such side. */
export interface SidecarPorts {
  readonly inbound: number;
  readonly outbound: number;
  readonly admin: number;
  readonly gateway: number;
}

/** The processes of the demo. */
export interface Fleet {
  readonly api: string;
  /** Who has which token at the API, by name. */
  readonly people: People;
  readonly controlPlane: DemoProcess;
  readonly members: readonly FleetMember[];
  member(nodeId: string): FleetMember;
  readonly gatewayPort: number;
  /** Where data, snapshots and what the story writes are. */
  readonly folder: string;
  startControlPlane(): Promise<void>;
  startService(plan: ServicePlan): Promise<void>;
  startGateway(name: string, joinToken: string): Promise<void>;
  /** Something that signs tokens; answers its address. */
  startIssuer(): Promise<string>;
  /** Again, with the folder and the ports that it had. */
  restartSidecar(nodeId: string): Promise<void>;
}

export interface ServicePlan {
  readonly service: string;
  readonly nodeId: string;
  readonly version: string;
  /** Brings the sidecar its first certificate. */
  readonly joinToken: string;
  readonly withoutKind?: string;
}

const root = path.resolve(import.meta.dirname, '../..');
const remora = path.join(root, 'libs/cli/bin/remora');
/** Twelve programs start at once: none is late before a minute, however busy the machine. */
const startMs = 60_000;

export function createFleet(options: { readonly supervisor: Supervisor; readonly folder: string; readonly ports: Ports }): Fleet {
  return new RunningFleet(options.supervisor, options.folder, options.ports);
}

class RunningFleet implements Fleet {
  readonly #supervisor: Supervisor;
  readonly folder: string;
  readonly #ports: Ports;
  readonly #members = new Map<string, FleetMember>();
  readonly #flags = new Map<string, readonly string[]>();
  readonly people: People;
  #controlPlane: DemoProcess | null = null;
  #api = '';
  #push = '';
  #enrolment = '';

  constructor(supervisor: Supervisor, folder: string, ports: Ports) {
    this.#supervisor = supervisor;
    this.folder = folder;
    this.#ports = ports;
    this.people = new People(folder);
  }

  get api(): string {
    return `http://${this.#api}`;
  }

  get controlPlane(): DemoProcess {
    if (this.#controlPlane === null) throw new DemoFailure('a control plane', 'none was started');
    return this.#controlPlane;
  }

  get members(): readonly FleetMember[] {
    return [...this.#members.values()];
  }

  get gatewayPort(): number {
    return this.members.find((one) => one.ports.gateway > 0)?.ports.gateway ?? 0;
  }

  member(nodeId: string): FleetMember {
    const found = this.#members.get(nodeId);
    if (found === undefined) throw new DemoFailure(`a sidecar ${nodeId}`, `there are ${[...this.#members.keys()].join(', ')}`);
    return found;
  }

  /** The second time: on the addresses and the data of the first. */
  async startControlPlane(): Promise<void> {
    const [apiPort, pushPort, enrolmentPort] = this.#api === '' ? [this.#ports.api, this.#ports.push, this.#ports.enrolment] : [this.#api, this.#push, this.#enrolment].map(portOf);
    const args = [
      'control-plane', '--data-dir', path.join(this.folder, 'control-plane'), '--api-port', String(apiPort), '--push-port', String(pushPort),
      '--identity', 'mtls', '--enrolment-port', String(enrolmentPort), '--encryption-key-file', this.#encryptionKey(),
    ];
    this.#controlPlane = this.#supervisor.start({ name: 'control-plane', file: remora, args });
    const event = await this.#controlPlane.event('says where it listens', isListening, startMs);
    const first = this.#api === '';
    this.#api = addressOf(event['api']);
    this.#push = addressOf(event['push']);
    this.#enrolment = addressOf(event['enrolment']);
    if (!first) return;
    const { token } = await this.#controlPlane.event('shows the first token', ({ event: name }) => name === 'first-token', startMs);
    this.people.meet('first', String(token));
  }

  /** As `openssl rand -base64 32` makes one. */
  #encryptionKey(): string {
    const file = path.join(this.folder, 'encryption-key');
    if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('base64'), { mode: 0o600 });
    return file;
  }

  async startService(plan: ServicePlan): Promise<void> {
    const { service, nodeId, version } = plan;
    const file = path.join(import.meta.dirname, 'services', `${service}.ts`);
    const app = this.#supervisor.start({ name: `${nodeId} app`, file, args: [], env: { VERSION: version, PORT: '0' } });
    const { port } = await app.event('says where it listens', isListening, startMs);
    const without = plan.withoutKind === undefined ? [] : ['--without-kind', plan.withoutKind];
    const flags = ['--service', service, '--label', `version=${version}`, '--app', `127.0.0.1:${String(port)}`, ...without];
    const member = await this.#startSidecar({ nodeId, subject: `service/${service}`, app, flags, joinToken: plan.joinToken, ports: ['--inbound', '0', '--outbound', '127.0.0.1:0', '--admin-port', '0'] });
    app.write(`127.0.0.1:${member.ports.outbound}`);
  }

  async startGateway(name: string, joinToken: string): Promise<void> {
    const flags = ['--gateway', name, '--listener', `plain=127.0.0.1:${this.#ports.gateway}`, '--admin-port', '0'];
    await this.#startSidecar({ nodeId: `${name}-1`, subject: `gateway/${name}`, app: null, flags, joinToken, ports: [] });
  }

  async startIssuer(): Promise<string> {
    const issuer = this.#supervisor.start({ name: 'issuer', file: path.join(import.meta.dirname, 'services/issuer.ts'), args: [], env: { PORT: '0' } });
    const { port } = await issuer.event('says where it listens', isListening, startMs);
    return `http://127.0.0.1:${String(port)}`;
  }

  async restartSidecar(nodeId: string): Promise<void> {
    const { subject, app, ports } = this.member(nodeId);
    const fixed = app === null
      ? ['--listener', `plain=127.0.0.1:${ports.gateway}`]
      : ['--inbound', String(ports.inbound), '--outbound', `127.0.0.1:${ports.outbound}`, '--admin-port', String(ports.admin)];
    // Its certificate is on its disk: the token is used up, and not needed.
    await this.#startSidecar({ nodeId, subject, app, flags: this.#flags.get(nodeId) ?? [], joinToken: '', ports: fixed });
  }

  async #startSidecar({ nodeId, subject, app, flags, joinToken, ports }: SidecarPlan): Promise<FleetMember> {
    this.#flags.set(nodeId, flags);
    const common = [
      'sidecar', '--node-id', nodeId, '--control-plane', this.#push, '--identity', 'mtls', '--enrolment', this.#enrolment,
      '--data-dir', path.join(this.folder, nodeId), '--telemetry-interval', '1s',
    ];
    const sidecar = this.#supervisor.start({ name: nodeId, file: remora, args: [...common, ...flags, ...ports], env: joinToken === '' ? {} : { REMORA_JOIN_TOKEN: joinToken } });
    const event = await sidecar.event('says where it listens', isListening, startMs);
    const member = { nodeId, subject, sidecar, app, ports: portsOf(event) };
    this.#members.set(nodeId, member);
    return member;
  }
}

interface SidecarPlan {
  readonly nodeId: string;
  readonly subject: string;
  readonly app: DemoProcess | null;
  readonly flags: readonly string[];
  /** '' where it has a certificate. */
  readonly joinToken: string;
  readonly ports: readonly string[];
}

function isListening(event: ProcessEvent): boolean {
  return event.event === 'listening';
}

/** Ports by what they are for; names may carry a port or listener name behind a slash. */
function portsOf(event: ProcessEvent): SidecarPorts {
  const find = (side: string): number => {
    const entry = Object.entries(event).find(([name]) => name === side || name.startsWith(`${side}/`));
    return entry === undefined ? 0 : portOf(String(entry[1]));
  };
  return { inbound: find('inbound'), outbound: find('outbound'), admin: find('admin'), gateway: find('gateway') };
}

function addressOf(value: unknown): string {
  return typeof value === 'number' ? `127.0.0.1:${value}` : String(value).replace(/^https?:\/\//, '');
}

function portOf(address: string): number {
  return Number(/(\d+)$/.exec(address)?.[1] ?? 0);
}
