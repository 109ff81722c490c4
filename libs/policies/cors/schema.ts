import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { checkRegex } from '@remora/policy-kit/regex';
import { duration, headerName, method, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { headersMax, methodsMax, originsMax } from './wire.ts';

const hour = 3_600_000;
const any = z.literal('*', { error: () => 'must be * or a list' });

/** `https://app.example`, `https://*.app.example`, `null` or `*`. */
function originText() {
  const expected = 'an origin such as https://app.example or https://*.app.example:8443, or null, or *';
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (isOriginText(text)) return;
    const slash = text.endsWith('/') ? ' (an origin has no path, not even /)' : '';
    const message = `${JSON.stringify(text.slice(0, 80))} is not an origin${slash}`;
    context.addIssue({ code: 'custom', message, params: { code: 'invalid-origin', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Serialised as a browser does (RFC 6454 section 6.2): lower case, no default port. */
function isOriginText(text: string): boolean {
  if (text === '*' || text === 'null') return true;
  if (text.length > 300 || !/^[a-z][a-z0-9+.-]*:\/\/(?:\*\.)?(?:[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[1-9]\d{0,4})?$/.test(text)) return false;
  return !/^(?:http:.*:80|https:.*:443)$/.test(text);
}

function originRegex() {
  return z.strictObject({
    regex: z.string().min(1).superRefine((pattern, context) => {
      const message = checkRegex(pattern);
      if (message !== null) context.addIssue({ code: 'custom', message, params: { code: 'invalid-regex', expected: 'a regular expression in RE2 syntax' } satisfies IssueParams });
    }),
  });
}

/** `cors` as authored. */
export const corsSchema = z.strictObject({
  origins: z.array(z.union([originText(), originRegex()])).max(originsMax).optional(),
  methods: z.union([any, z.array(method()).max(methodsMax)]).optional(),
  headers: z.union([any, z.array(headerName()).max(headersMax)]).optional(),
  expose: z.array(headerName()).max(headersMax).optional(),
  credentials: z.boolean().optional(),
  maxAge: duration({ max: 24 * hour }).optional(),
  privateNetwork: z.boolean().optional(),
});

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveCors {
  readonly origins: readonly (string | { readonly regex: string })[];
  readonly methods: '*' | readonly string[];
  readonly headers: '*' | readonly string[];
  readonly expose: readonly string[];
  readonly credentials: boolean;
  readonly maxAge: string;
  readonly privateNetwork: boolean;
}

export const corsDefaults: JsonObject = {
  origins: [],
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  headers: '*',
  expose: [],
  credentials: false,
  maxAge: '10m',
  privateNetwork: false,
};

/** With credentials every origin would be able to act as the user of the page. */
export function checkCors(effective: JsonObject): Violation[] {
  const { origins, credentials } = effective as unknown as EffectiveCors;
  if (!credentials) return [];
  return origins.flatMap((origin, i) => (origin !== '*' ? [] : [{
    pointer: `/origins/${i}`,
    code: 'contradiction',
    message: '* cannot be combined with credentials: name the origins',
  }]));
}
