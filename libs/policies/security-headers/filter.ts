import type { Field, HeaderId } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import { knownHeader } from '@remora/policy-kit/known-header';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { securityHeadersWire, type SecurityHeadersSettings } from './wire.ts';

/** Adds to response heads what tells browsers to be careful, and removes what tells too much. */
export const securityHeadersRuntime: RuntimeKind<SecurityHeadersSettings> = {
  ...securityHeadersWire,
  side: 'provider',
  edge: makeSecurityHeadersFilter,
};

function makeSecurityHeadersFilter(settings: SecurityHeadersSettings, _context: FilterContext): EdgeFilter | null {
  const removed: readonly HeaderId[] = settings.remove.map((name) => knownHeader(name, '/remove'));
  const always: readonly Field[] = settings.set.filter((one) => !one.httpsOnly).map((one) => makeField(one.name, one.value));
  const httpsOnly: readonly Field[] = settings.set.filter((one) => one.httpsOnly).map((one) => makeField(one.name, one.value));
  if (removed.length + always.length + httpsOnly.length === 0) return null;
  const replace = settings.replace;
  return {
    kind: 'securityHeaders',
    response(x, head) {
      for (const id of removed) if (head.has(id)) head.remove(id);
      for (const field of always) {
        if (!head.has(field.id)) head.put(field);
        else if (replace) head.set(field.id, field.value);
      }
      if (httpsOnly.length === 0 || x.head.scheme !== 'https') return;
      for (const field of httpsOnly) {
        if (!head.has(field.id)) head.put(field);
        else if (replace) head.set(field.id, field.value);
      }
    },
  };
}
