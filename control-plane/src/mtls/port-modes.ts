import type { JsonObject } from '@remora/core/canonical-json';
import type { MtlsMode } from '@remora/policy-mtls/wire';
import type { Planned } from '../compile/planner.ts';

/** How one port of a service takes its callers. */
export interface PortMode {
  readonly port: string;
  readonly mode: MtlsMode;
  /** In shadow nobody is refused. */
  readonly shadow: boolean;
}

/** By what holds for the service now; null where there is no such service. */
export function portModes(planned: Pick<Planned, 'resolver' | 'state'>, service: string): PortMode[] | null {
  const document = planned.state.services.get(service);
  if (!document) return null;
  const section = planned.resolver.effective({ owner: { kind: 'service', name: service } }).find(({ kind }) => kind === 'mtls');
  const own = (section?.value['ports'] ?? {}) as JsonObject;
  const usual = (section?.value['mode'] ?? 'permissive') as MtlsMode;
  return Object.keys(document.ports).sort().map((port) => ({ port, mode: (Object.hasOwn(own, port) ? own[port] : usual) as MtlsMode, shadow: section?.shadow ?? false }));
}
