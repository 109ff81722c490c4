import type { GuardFinding, Planned } from '../compile/planner.ts';
import { plaintextPeers, type MtlsStatusInput, type PlaintextPeer } from './mtls-status.ts';
import { portModes, type PortMode } from './port-modes.ts';
import type { CallerTraffic } from '../telemetry/caller-history.ts';

export interface MtlsGuardInput {
  /** null: there is nothing to compare with. */
  readonly before: Pick<Planned, 'resolver' | 'state'> | null;
  readonly after: Pick<Planned, 'resolver' | 'state' | 'changed'>;
  /** Callers of the last 24 hours. */
  readonly trafficOf: (service: string) => readonly CallerTraffic[];
  readonly sidecars: () => MtlsStatusInput['sidecars'];
}

/** Callers named in one finding; more are counted. */
const namedMax = 5;

/**
 * The way to `strict`, guard `mtls`: not from `disabled` (`permissive` first, so that callers change over), and not where somebody came in plaintext within the
 * last 24 hours, with who that was.
 */
export function mtlsFindings({ before, after, trafficOf, sidecars }: MtlsGuardInput): GuardFinding[] {
  if (before === null) return [];
  const found: GuardFinding[] = [];
  for (const key of after.changed) {
    if (!key.startsWith('service/')) continue;
    const name = key.slice('service/'.length);
    const was = portModes(before, name);
    const now = portModes(after, name);
    if (was === null || now === null) continue;
    const stricter = now.filter((port) => isStrict(port) && !isStrict(was.find((one) => one.port === port.port)));
    if (stricter.length === 0) continue;
    found.push(...stepFindings(name, stricter, was), ...plaintextFindings(name, stricter, plaintextPeers(trafficOf(name), sidecars())));
  }
  return found;
}

function isStrict(port: PortMode | undefined): boolean {
  return port !== undefined && port.mode === 'strict' && !port.shadow;
}

function stepFindings(name: string, stricter: readonly PortMode[], was: readonly PortMode[]): GuardFinding[] {
  const ports = stricter.filter(({ port }) => was.find((one) => one.port === port)?.mode === 'disabled').map(({ port }) => port);
  if (ports.length === 0) return [];
  return [{ guard: 'mtls', subject: { kind: 'service', name }, message: `service/${name} has mTLS disabled on ${ports.join(', ')}, so every caller comes in plaintext: make it permissive first, and strict when they have changed over` }];
}

function plaintextFindings(name: string, stricter: readonly PortMode[], peers: readonly PlaintextPeer[]): GuardFinding[] {
  const refused = peers.filter(({ port }) => stricter.some((one) => one.port === port));
  if (refused.length === 0) return [];
  const named = refused.slice(0, namedMax).map(({ address, caller, port, requests }) => `${caller === '' ? address : `${caller} (${address})`} → ${port} (${requests.toLocaleString('en')} in 24 h)`);
  const more = refused.length > namedMax ? ` and ${refused.length - namedMax} more` : '';
  return [{ guard: 'mtls', subject: { kind: 'service', name }, message: `service/${name} with strict mTLS would refuse ${named.join(', ')}${more}` }];
}
