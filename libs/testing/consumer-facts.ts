import type { FactUpdate } from '@remora/policy-kit/facts';
import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';

/** What a control plane would send of consumers: parts by name, each field of a part as far as a test needs it. */
export function consumerFacts(parts: Readonly<Record<string, Partial<ConsumersPart> | null>>, full = false): FactUpdate {
  const facts = new Map<string, Uint8Array | null>();
  for (const [name, part] of Object.entries(parts)) facts.set(name, part === null ? null : ConsumersPart.encode(ConsumersPart.fromPartial(part)).finish());
  return { kind: 'consumers', full, facts };
}

/** Consumers without anything but a name. */
export function consumersNamed(...names: readonly string[]): ConsumersPart['consumers'] {
  return names.map((name) => ({ name, groups: [], plan: '', identities: [] }));
}
