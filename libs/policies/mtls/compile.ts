import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Mtls } from './gen/mtls.ts';
import { mtlsDefaults, mtlsSchema, type EffectiveMtls } from './schema.ts';

/** Whether callers must show a certificate of the mesh: provider side, of Services, always on where there is an identity. */
export const mtlsAuthoring: AuthoringKind = {
  name: 'mtls',
  side: 'provider',
  tcp: true,
  always: true,
  shadow: true,
  format: 1,
  owners: 'services',
  schema: mtlsSchema,
  listenerOnly: Object.keys(mtlsSchema.shape),
  defaults: mtlsDefaults,
  isUsual: (effective) => isUsual(effective as unknown as EffectiveMtls),
  compile: (effective: JsonObject) => ({ minFormat: 1, body: Mtls.encode(toMessage(effective as unknown as EffectiveMtls)).finish() }),
};

/** What a sidecar does where nothing is said. */
function isUsual({ mode, ports = {}, trustDomains = [] }: EffectiveMtls): boolean {
  return mode === 'permissive' && Object.keys(ports).length === 0 && trustDomains.length === 0;
}

function toMessage({ mode, ports = {}, trustDomains = [] }: EffectiveMtls): Mtls {
  const named = Object.entries(ports).filter(([, own]) => own !== mode).map(([port, own]) => ({ port, mode: own }));
  return { mode, ports: named.sort((a, b) => (a.port < b.port ? -1 : 1)), trustDomains: [...trustDomains].sort() };
}
