import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { SecurityHeaders, type SecurityHeader } from './gen/security-headers.ts';
import { checkSecurityHeaders, securityHeadersDefaults, securityHeadersSchema, type EffectiveSecurityHeaders } from './schema.ts';

/** Fields that tell browsers to be careful: provider side, responses only. */
export const securityHeadersAuthoring: AuthoringKind = {
  name: 'securityHeaders',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: securityHeadersSchema,
  defaults: securityHeadersDefaults,
  check: checkSecurityHeaders,
  compile: (effective) => ({ minFormat: 1, body: SecurityHeaders.encode(toMessage(effective as unknown as EffectiveSecurityHeaders)).finish() }),
};

function toMessage(effective: EffectiveSecurityHeaders): SecurityHeaders {
  const set: SecurityHeader[] = [];
  const add = (name: string, value: string, httpsOnly = false): void => {
    if (value !== 'none' && value !== '') set.push({ name, value, httpsOnly });
  };
  add('content-security-policy', effective.contentSecurityPolicy);
  add('content-security-policy-report-only', effective.contentSecurityPolicyReportOnly);
  add('cross-origin-embedder-policy', effective.crossOriginEmbedderPolicy);
  add('cross-origin-opener-policy', effective.crossOriginOpenerPolicy);
  add('cross-origin-resource-policy', effective.crossOriginResourcePolicy);
  add('permissions-policy', effective.permissionsPolicy);
  add('referrer-policy', effective.referrerPolicy);
  // RFC 6797 section 7.2: not over insecure transport.
  add('strict-transport-security', hstsValue(effective.hsts), true);
  add('x-content-type-options', effective.contentTypeOptions);
  add('x-frame-options', effective.frameOptions.toUpperCase().replace('NONE', 'none'));
  return { set, remove: [...new Set(effective.remove.map((name) => name.toLowerCase()))].sort(), replace: effective.existing === 'replace' };
}

function hstsValue({ maxAge, includeSubDomains, preload }: EffectiveSecurityHeaders['hsts']): string {
  if (maxAge === 'none') return 'none';
  const seconds = Math.floor((parseDurationMs(maxAge) ?? 0) / 1000);
  return `max-age=${seconds}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`;
}
