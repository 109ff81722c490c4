import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, headerName, headerValue, oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { removeMax } from './wire.ts';

const dayMs = 86_400_000;
const none = z.literal('none', { error: () => 'must be none or a value' });

const frameWords = ['none', 'deny', 'sameorigin'] as const;
const referrerWords = [
  'none', 'no-referrer', 'no-referrer-when-downgrade', 'origin', 'origin-when-cross-origin', 'same-origin', 'strict-origin',
  'strict-origin-when-cross-origin', 'unsafe-url',
] as const;
const openerWords = ['none', 'unsafe-none', 'same-origin-allow-popups', 'same-origin', 'noopener-allow-popups'] as const;
const embedderWords = ['none', 'unsafe-none', 'require-corp', 'credentialless'] as const;
const resourceWords = ['none', 'same-site', 'same-origin', 'cross-origin'] as const;

/** `securityHeaders` as authored. `none`: the field is not sent. */
export const securityHeadersSchema = z.strictObject({
  hsts: z.strictObject({
    maxAge: z.union([none, duration({ max: 3650 * dayMs })]).optional(),
    includeSubDomains: z.boolean().optional(),
    preload: z.boolean().optional(),
  }).optional(),
  contentSecurityPolicy: headerValue().optional(),
  contentSecurityPolicyReportOnly: headerValue().optional(),
  contentTypeOptions: oneOf(['none', 'nosniff']).optional(),
  frameOptions: oneOf(frameWords).optional(),
  referrerPolicy: oneOf(referrerWords).optional(),
  permissionsPolicy: headerValue().optional(),
  crossOriginOpenerPolicy: oneOf(openerWords).optional(),
  crossOriginEmbedderPolicy: oneOf(embedderWords).optional(),
  crossOriginResourcePolicy: oneOf(resourceWords).optional(),
  remove: z.array(headerName()).max(removeMax).optional(),
  existing: oneOf(['keep', 'replace']).optional(),
});

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveSecurityHeaders {
  readonly hsts: { readonly maxAge: string; readonly includeSubDomains: boolean; readonly preload: boolean };
  readonly contentSecurityPolicy: string;
  readonly contentSecurityPolicyReportOnly: string;
  readonly contentTypeOptions: string;
  readonly frameOptions: string;
  readonly referrerPolicy: string;
  readonly permissionsPolicy: string;
  readonly crossOriginOpenerPolicy: string;
  readonly crossOriginEmbedderPolicy: string;
  readonly crossOriginResourcePolicy: string;
  readonly remove: readonly string[];
  readonly existing: 'keep' | 'replace';
}

/** What helps every site without breaking one; HSTS and CSP need a decision. */
export const securityHeadersDefaults: JsonObject = {
  hsts: { maxAge: 'none', includeSubDomains: false, preload: false },
  contentSecurityPolicy: 'none',
  contentSecurityPolicyReportOnly: 'none',
  contentTypeOptions: 'nosniff',
  frameOptions: 'sameorigin',
  referrerPolicy: 'strict-origin-when-cross-origin',
  permissionsPolicy: 'none',
  crossOriginOpenerPolicy: 'none',
  crossOriginEmbedderPolicy: 'none',
  crossOriginResourcePolicy: 'none',
  remove: ['server', 'x-powered-by'],
  existing: 'keep',
};

/** Browsers take a site into their preload lists only with a year and all sub-domains (hstspreload.org). */
export function checkSecurityHeaders(effective: JsonObject): Violation[] {
  const { hsts } = effective as unknown as EffectiveSecurityHeaders;
  if (!hsts.preload) return [];
  const violations: Violation[] = [];
  if (!hsts.includeSubDomains) violations.push(contradiction('/hsts/includeSubDomains', 'preload needs includeSubDomains: true'));
  if (hsts.maxAge === 'none' || (parseDurationMs(hsts.maxAge) ?? 0) < 365 * dayMs) violations.push(contradiction('/hsts/maxAge', 'preload needs a maxAge of at least 365d'));
  return violations;
}

function contradiction(pointer: string, message: string): Violation {
  return { pointer, code: 'contradiction', message };
}
