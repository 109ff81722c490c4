import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { kindOrder } from '@remora/policy-kit/order';
import { notAvailable } from '@remora/policy-kit/scalars';
import { parsePointer } from '@remora/core/pointer';
import type { Json } from '@remora/core/canonical-json';
import { z } from 'zod';
import { checkBound } from './bound-check.ts';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { documentName, labels } from './names.ts';
import { createSectionSchema } from './section-schema.ts';
import { exceptionSchema, fromSchema, targetSchema } from './target-schema.ts';
import type { FromDocument, TargetDocument } from './target-schema.ts';

const scalar = z.union([z.string().max(documentLimits.valueLength), z.number(), z.boolean()], { error: () => 'must be a text, a number or a boolean' });
const ordered = z.union([z.string().max(64), z.number()], { error: () => 'must be a number, duration, size or ratio' });

function createBoundSchema(kinds: ReadonlyMap<string, AuthoringKind>) {
  return z.strictObject({
    field: z.string().max(1_024).superRefine((field, context) => {
      if ((parsePointer(field)?.length ?? 0) < 1) issue(context, 'invalid-pointer', 'is not a JSON pointer into a policy', '/retry/retries, or /rateLimit/limits/*/requests');
    }),
    locked: z.literal(true).optional(),
    min: ordered.optional(),
    max: ordered.optional(),
    oneOf: z.array(scalar).min(1).max(64).optional(),
    except: z.array(exceptionSchema).min(1).max(documentLimits.exceptions).optional(),
  }).superRefine((bound, context) => {
    const { locked, min, max, oneOf } = bound;
    if (locked === undefined && min === undefined && max === undefined && oneOf === undefined) issue(context, 'too-few', 'limits nothing', 'locked: true, min, max or oneOf');
    if (parsePointer(bound.field) !== null) checkBound(bound, kinds, context);
  }, acrossFields('field', 'locked', 'min', 'max', 'oneOf'));
}

export type BoundDocument = z.infer<ReturnType<typeof createBoundSchema>>;

/** A target and one section per policy kind. Sections of other kinds are by name. */
export interface PolicyDocument {
  readonly kind: 'Policy';
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly target: TargetDocument;
  readonly from?: FromDocument | undefined;
  readonly bounds?: readonly BoundDocument[] | undefined;
  readonly [section: string]: unknown;
}

/** Fields of a policy that are no section. */
const policyFields: ReadonlySet<string> = new Set(['kind', 'name', 'labels', 'target', 'from', 'bounds']);

/** Names of the sections of a policy, in the document's order. */
export function sectionsOf(policy: PolicyDocument): readonly string[] {
  return Object.keys(policy).filter((field) => !policyFields.has(field));
}

/** A section as written: fields, `enabled`, `enforcement`. */
export function sectionOf(policy: PolicyDocument, kind: string): Readonly<Record<string, Json>> | undefined {
  return Object.hasOwn(policy, kind) ? (policy[kind] as Readonly<Record<string, Json>>) : undefined;
}

export function createPolicySchema(kinds: ReadonlyMap<string, AuthoringKind>): z.ZodType {
  const sections: Record<string, z.ZodType> = {};
  for (const { name } of kindOrder) {
    const kind = kinds.get(name);
    sections[name] = kind === undefined ? notAvailable(name).optional() : createSectionSchema(kind).optional();
  }
  return z.strictObject({
    kind: z.literal('Policy'),
    name: documentName(),
    labels: labels().optional(),
    target: targetSchema,
    from: fromSchema.optional(),
    bounds: z.array(createBoundSchema(kinds)).min(1).max(documentLimits.bounds).optional(),
    ...sections,
  }).superRefine((policy, context) => {
    if (sectionsOf(policy).length === 0 && policy.bounds === undefined) issue(context, 'too-few', 'sets nothing and bounds nothing', 'a section such as timeout, or bounds');
  }, { when: ({ issues }) => issues.length === 0 }).superRefine((policy, context) => {
    const written = sectionsOf(policy);
    const bounded = (policy.bounds ?? []).map(({ field }) => field.split('/')[1] ?? '');
    if (policy.from !== undefined) checkFrom(policy.from, policy.target, [...written, ...bounded], kinds, context);
  }, acrossFields('target', 'from', 'bounds')).superRefine((policy, context) => {
    if (policy.target.route !== undefined) checkRouteFields(policy, kinds, context);
    if (policy.target.gateway !== undefined || policy.target.gateways !== undefined) checkOwners(policy, kinds, context);
  }, acrossFields('target')).superRefine((policy, context) => checkWritten(policy, kinds, context), { when: ({ issues }) => issues.length === 0 });
}

/** What one author says and takes back in the same breath. */
function checkWritten(policy: PolicyDocument, kinds: ReadonlyMap<string, AuthoringKind>, context: z.RefinementCtx): void {
  for (const name of sectionsOf(policy)) {
    const section = sectionOf(policy, name);
    if (section === undefined || section === null) continue;
    for (const { pointer, code, message, expected } of kinds.get(name)?.checkWritten?.(section) ?? []) issue(context, code, message, expected, [name, ...(parsePointer(pointer) ?? [])]);
  }
}

/** What acts before a Route is known, or on what all Routes share, would be accepted and do nothing. */
function checkRouteFields(policy: PolicyDocument, kinds: ReadonlyMap<string, AuthoringKind>, context: z.RefinementCtx): void {
  for (const name of sectionsOf(policy)) {
    const section: unknown = policy[name];
    if (typeof section !== 'object' || section === null) continue;
    const { listenerOnly = [], perDestination = [] } = kinds.get(name) ?? {};
    for (const field of listenerOnly) {
      if (Object.hasOwn(section, field)) issue(context, 'not-available', `${field} holds for a whole ${policy.target.gateway === undefined ? 'port' : 'listener'}, before a Route is known`, 'a policy whose target is the service or gateway', [name, field]);
    }
    if (perDestination === true) issue(context, 'not-available', `${name} ${sharedByRoutes}`, wholeTarget, [name]);
    else for (const field of perDestination) if (Object.hasOwn(section, field)) issue(context, 'not-available', `${field} ${sharedByRoutes}`, wholeTarget, [name, field]);
  }
}

const sharedByRoutes = 'holds for all calls to a service alike, whichever Route they take';
const wholeTarget = 'a policy whose target is the service, or the gateway that calls it';

/** What Gateways do not have. */
function checkOwners(policy: PolicyDocument, kinds: ReadonlyMap<string, AuthoringKind>, context: z.RefinementCtx): void {
  for (const name of sectionsOf(policy)) {
    if (kinds.get(name)?.owners === 'services') issue(context, 'never-applies', `${name} holds for Services; the clients of a Gateway are not of the mesh`, 'a policy whose target is a service', [name]);
  }
}

function checkFrom(from: FromDocument, target: TargetDocument, written: readonly string[], kinds: ReadonlyMap<string, AuthoringKind>, context: z.RefinementCtx): void {
  for (const name of written) {
    if (kinds.get(name)?.side !== 'provider') continue;
    issue(context, 'from-not-possible', `${name} is enforced where the request arrives, for all callers alike; from narrows caller-side kinds such as timeout and retry`, undefined, ['from']);
    return;
  }
  const ofGateway = target.gateway !== undefined || target.gateways !== undefined;
  if (ofGateway && from.gateway === undefined) issue(context, 'never-applies', 'a gateway as target is the caller itself', undefined, ['from']);
  if (target.gateway !== undefined && from.gateway !== undefined && from.gateway !== target.gateway) issue(context, 'never-applies', `only ${target.gateway} makes the calls of ${target.gateway}`, undefined, ['from', 'gateway']);
}
