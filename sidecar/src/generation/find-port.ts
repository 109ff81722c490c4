import type { ListenerSpec } from '../threads/data-plane.ts';
import type { Generation } from './generation.ts';
import type { ProviderPort } from './places.ts';

/** What a generation says of a listener for requests from others; null: it is no part of the generation, or takes calls of the own app. */
export function findPort(generation: Generation | null, spec: ListenerSpec): ProviderPort | null {
  if (generation === null || spec.side === 'outbound') return null;
  if (spec.side === 'gateway') return generation.listeners.get(spec.portName ?? '') ?? null;
  return generation.inbound.get(spec.portName ?? 'http') ?? (spec.portName === undefined ? onlyOf(generation.inbound) : null);
}

/** A bare inbound listener stands for the port `http`, or for the only one. */
function onlyOf(ports: ReadonlyMap<string, ProviderPort>): ProviderPort | null {
  const [only] = ports.values();
  return ports.size === 1 && only !== undefined ? only : null;
}
