import type { SubjectKey } from '@remora/core/subject';
import type { RouteDocument } from '@remora/model/route-schema';
import { ownerOf } from './document-state.ts';
import type { DocumentState } from './document-state.ts';

/** What carries TCP connections (`tcp`, `tls`) rather than requests, among the ports of a service or the listeners of a gateway. */
export interface TcpPorts {
  /** Names, sorted. */
  readonly tcp: readonly string[];
  readonly all: readonly string[];
}

export function tcpPortsOf(state: DocumentState, owner: SubjectKey): TcpPorts {
  const name = owner.slice(owner.indexOf('/') + 1);
  const parts: Readonly<Record<string, { readonly protocol?: string | undefined }>> | undefined =
    owner.startsWith('service/') ? state.services.get(name)?.ports : state.gateways.get(name)?.listeners;
  const all = Object.keys(parts ?? {}).sort();
  return { all, tcp: all.filter((port) => carriesTcp(parts?.[port]?.protocol)) };
}

export function carriesTcp(protocol: string | undefined): boolean {
  return protocol === 'tcp' || protocol === 'tls';
}

/** Whether the Route is for TCP connections: it names such ports. One that names none is for requests. */
export function isTcpRoute(state: DocumentState, route: RouteDocument): boolean {
  const { tcp } = tcpPortsOf(state, ownerOf(route));
  return (route.ports ?? route.listeners ?? []).some((port) => tcp.includes(port));
}
