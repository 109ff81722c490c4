import type { Planned } from '../compile/planner.ts';
import type { SidecarStatus } from '../push/push-hub.ts';
import type { CallerTraffic } from '../telemetry/caller-history.ts';
import { portModes, type PortMode } from './port-modes.ts';

/** Who calls a service, and how: what stands between it and `strict`. */
export interface MtlsStatus {
  readonly service: string;
  readonly ports: readonly (PortMode & { readonly mtls: number; readonly plaintext: number })[];
  readonly callers: readonly MtlsCaller[];
  /** Who came without a certificate, the busiest first. */
  readonly plaintext: readonly PlaintextPeer[];
  /** Sidecars of the service, and those of them that take mTLS. */
  readonly instances: { readonly all: number; readonly mtls: number };
}

export interface MtlsCaller {
  /** `service/web`; a SPIFFE id of another trust domain. */
  readonly caller: string;
  /** It may call the service, by its documents. */
  readonly declared: boolean;
  /** Connected sidecars, and those of them that have a certificate. */
  readonly instances: { readonly all: number; readonly withCertificate: number };
  readonly mtls: number;
  /** From addresses where only its sidecars are. */
  readonly plaintext: number;
  readonly lastPlaintextAt: string | null;
}

export interface PlaintextPeer {
  readonly address: string;
  /** Whose sidecars connect from that address, where it is one subject's alone; else ''. */
  readonly caller: string;
  readonly port: string;
  readonly requests: number;
  readonly lastAt: string;
}

export interface MtlsStatusInput {
  readonly planned: Pick<Planned, 'resolver' | 'state'>;
  readonly service: string;
  readonly traffic: readonly CallerTraffic[];
  readonly sidecars: readonly Pick<SidecarStatus, 'subject' | 'connected' | 'authenticated' | 'address'>[];
}

/** Null where there is no such service. */
export function mtlsStatus({ planned, service, traffic, sidecars }: MtlsStatusInput): MtlsStatus | null {
  const modes = portModes(planned, service);
  if (modes === null) return null;
  const own = sidecars.filter(({ subject, connected }) => connected && subject === `service/${service}`);
  const plaintext = plaintextPeers(traffic, sidecars);
  return {
    service,
    ports: modes.map((mode) => ({ ...mode, mtls: sum(traffic, (one) => one.mtls && one.port === mode.port), plaintext: sum(traffic, (one) => !one.mtls && one.port === mode.port) })),
    callers: callersOf({ planned, service, traffic, sidecars }, plaintext),
    plaintext,
    instances: { all: own.length, mtls: own.filter(({ authenticated }) => authenticated).length },
  };
}

/** Those whom `strict` on these ports would refuse, by what came in plaintext. */
export function plaintextPeers(traffic: readonly CallerTraffic[], sidecars: MtlsStatusInput['sidecars']): PlaintextPeer[] {
  const subjects = new Map<string, Set<string>>();
  for (const { subject, address } of sidecars) {
    const host = hostOf(address);
    const known = subjects.get(host) ?? new Set<string>();
    subjects.set(host, known.add(subject));
  }
  return traffic.filter(({ mtls }) => !mtls).map(({ peer, port, requests, lastAtMs }) => {
    const [caller = '', ...others] = subjects.get(peer) ?? [];
    return { address: peer, caller: others.length === 0 ? caller : '', port, requests, lastAt: new Date(lastAtMs).toISOString() };
  });
}

function callersOf({ planned, service, traffic, sidecars }: MtlsStatusInput, plaintext: readonly PlaintextPeer[]): MtlsCaller[] {
  const declared = new Set<string>(planned.state.callers.get(service) ?? []);
  const names = new Set<string>([...declared, ...traffic.filter(({ mtls }) => mtls).map(({ peer }) => peer), ...plaintext.map(({ caller }) => caller).filter((caller) => caller !== '')]);
  return [...names].sort().map((caller) => {
    const instances = sidecars.filter(({ subject, connected }) => connected && subject === caller);
    const bare = plaintext.filter((peer) => peer.caller === caller);
    return {
      caller, declared: declared.has(caller),
      instances: { all: instances.length, withCertificate: instances.filter(({ authenticated }) => authenticated).length },
      mtls: sum(traffic, (one) => one.mtls && one.peer === caller),
      plaintext: bare.reduce((all, { requests }) => all + requests, 0),
      lastPlaintextAt: bare.map(({ lastAt }) => lastAt).sort().at(-1) ?? null,
    };
  });
}

function sum(traffic: readonly CallerTraffic[], counts: (one: CallerTraffic) => boolean): number {
  return traffic.reduce((all, one) => (counts(one) ? all + one.requests : all), 0);
}

/** Of `10.0.0.5:41234` or `[fd00::5]:41234`. */
function hostOf(address: string): string {
  const colon = address.lastIndexOf(':');
  return (colon < 0 ? address : address.slice(0, colon)).replaceAll(/^\[|\]$/g, '');
}
