import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { defaultTrustDomain } from '@remora/identity/trust-domain';
import type { Planned } from '../compile/planner.ts';
import type { DocumentChange } from '../store/store.ts';

/**
 * What of the written `mtls` sections nobody could enforce: `strict` where sidecars have no identity (nobody could prove anything, so everybody would be refused),
 * and trust domains whose roots this control plane has not.
 */
export function mtlsViolations(changes: readonly DocumentChange[], planned: Pick<Planned, 'state'>, hasIdentity: boolean): Violation[] {
  const own = planned.state.mesh?.trustDomain ?? defaultTrustDomain;
  return changes.flatMap(({ key, after }): Violation[] => {
    const section = key.startsWith('Policy/') ? after?.['mtls'] : undefined;
    if (typeof section !== 'object' || section === null || Array.isArray(section)) return [];
    const object = section as JsonObject;
    return [...(hasIdentity ? [] : strictViolations(key, object)), ...domainViolations(key, object, own)];
  });
}

function strictViolations(document: string, section: JsonObject): Violation[] {
  const ports = Object.entries((section['ports'] ?? {}) as JsonObject).map(([port, mode]) => ({ pointer: joinPointer('/mtls/ports', port), mode }));
  return [{ pointer: '/mtls/mode', mode: section['mode'] }, ...ports].filter(({ mode }) => mode === 'strict').map(({ pointer }) => ({
    document, pointer, code: 'not-enforceable', message: 'sidecars of this control plane have no certificates (--identity off): nobody could come in', expected: 'permissive or disabled, or a control plane with --identity mtls',
  }));
}

function domainViolations(document: string, section: JsonObject, own: string): Violation[] {
  const named = Array.isArray(section['trustDomains']) ? section['trustDomains'] : [];
  return named.flatMap((name, i): Violation[] => (name === own ? [] : [{
    document, pointer: `/mtls/trustDomains/${i}`, code: 'no-trust-bundle', message: `this control plane has no roots of the trust domain ${String(name)}: nobody of it could be verified`, expected: own,
  }]));
}
