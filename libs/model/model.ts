import { canonicalJson } from '@remora/core/canonical-json';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import { runSteps } from '@remora/core/steps';
import type { Steps } from '@remora/core/steps';
import { suggest } from '@remora/core/suggest';
import type { Violation } from '@remora/core/violation';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { z } from 'zod';
import { canarySchema } from './canary-schema.ts';
import type { CanaryDocument } from './canary-schema.ts';
import { canonicalForm, meaningOf } from './canonical-form.ts';
import { consumerSchema } from './consumer-schema.ts';
import type { ConsumerDocument } from './consumer-schema.ts';
import { documentKey, documentKinds, isDocumentKind, reservedDocumentKinds } from './document-key.ts';
import type { DocumentKey, DocumentKind } from './document-key.ts';
import { documentLimits } from './document-limits.ts';
import { gatewaySchema } from './gateway-schema.ts';
import type { GatewayDocument } from './gateway-schema.ts';
import { issueViolations } from './issue-violations.ts';
import type { LoadedDocument } from './load-documents.ts';
import type { RegexCheck } from './match-schema.ts';
import { meshSchema } from './mesh-schema.ts';
import type { MeshDocument } from './mesh-schema.ts';
import { planSchema } from './plan-schema.ts';
import type { PlanDocument } from './plan-schema.ts';
import { createPolicySchema } from './policy-schema.ts';
import type { PolicyDocument } from './policy-schema.ts';
import { hidePrototypeNames, showPrototypeNames } from './prototype-names.ts';
import { createRouteSchema } from './route-schema.ts';
import type { RouteDocument } from './route-schema.ts';
import { serviceSchema } from './service-schema.ts';
import type { ServiceDocument } from './service-schema.ts';
import { inspectValue } from './value-inspection.ts';

export type MeshModelDocument = MeshDocument | ServiceDocument | GatewayDocument | RouteDocument | PolicyDocument | ConsumerDocument | PlanDocument | CanaryDocument;

/** A document that is right by itself. */
export interface ValidDocument {
  readonly key: DocumentKey;
  /** Canonical form: sorted keys, units as written. */
  readonly document: JsonObject;
}

export type ValidationResult =
  | { readonly ok: true; readonly valid: ValidDocument }
  | { readonly ok: false; readonly violations: readonly Violation[] };

export interface ValidatedDocuments {
  readonly documents: readonly ValidDocument[];
  readonly violations: readonly Violation[];
}

/** The document kinds: one zod source validates them, types them and yields their JSON Schema. */
export interface Model {
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
  /** JSON Schema 2020-12 of a document kind, for editors and the API; null for kinds that this build does not have. */
  jsonSchemaFor(kind: string): JsonObject | null;
  schemaOf(kind: DocumentKind): z.ZodType;
  /**
   * Everything that is wrong with one value by itself. `document` of the violations is set where kind and name can be read.
   * Documents that this answered are known to be valid: asking again costs nothing, so nobody may change them.
   */
  validateDocument(value: Json): ValidationResult;
  /** The same over one input, with sources; two documents of one kind and name are a violation. */
  validateDocuments(documents: readonly LoadedDocument[]): ValidatedDocuments;
  /** The same, to be interrupted between documents. */
  validateDocumentsInSteps(documents: readonly LoadedDocument[]): Steps<ValidatedDocuments>;
  /** Whether two documents mean the same: key order and the spelling of units do not count. */
  canonicallyEqual(a: JsonObject, b: JsonObject): boolean;
}

export interface ModelOptions {
  /** Policy kinds by section name. */
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
  /** Of the router: null where a pattern is accepted. */
  readonly checkRegex: RegexCheck;
}

export function createModel(options: ModelOptions): Model {
  const schemas: Readonly<Record<DocumentKind, z.ZodType>> = {
    Mesh: meshSchema,
    Service: serviceSchema,
    Gateway: gatewaySchema,
    Route: createRouteSchema(options.checkRegex),
    Policy: createPolicySchema(options.kinds),
    Consumer: consumerSchema,
    Plan: planSchema,
    Canary: canarySchema,
  };
  const known = new WeakMap<object, ValidationResult>();
  const validateDocument = (value: Json): ValidationResult => {
    const before = value !== null && typeof value === 'object' ? known.get(value) : undefined;
    if (before !== undefined) return before;
    const result = validate(value, schemas);
    if (result.ok) known.set(result.valid.document, result);
    return result;
  };
  return {
    kinds: options.kinds,
    jsonSchemaFor: (kind) => (isDocumentKind(kind) ? toJsonSchema(kind, schemas[kind]) : null),
    schemaOf: (kind) => schemas[kind],
    validateDocument,
    validateDocuments: (documents) => runSteps(validateAll(documents, validateDocument)),
    validateDocumentsInSteps: (documents) => validateAll(documents, validateDocument),
    canonicallyEqual(a, b) {
      const kind = a['kind'];
      if (typeof kind !== 'string' || !isDocumentKind(kind) || kind !== b['kind']) return canonicalJson(a) === canonicalJson(b);
      return meaningOf(a, schemas[kind]) === meaningOf(b, schemas[kind]);
    },
  };
}

function validate(value: Json, schemas: Readonly<Record<DocumentKind, z.ZodType>>): ValidationResult {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { ok: false, violations: [{ pointer: '', code: 'wrong-type', message: 'a document is a map', expected: 'a map with kind and name' }] };
  }
  const object = value as JsonObject;
  const name = labelOf(object);
  const label = (violations: readonly Violation[]): ValidationResult => ({ ok: false, violations: violations.map((one) => (name === undefined ? one : { ...one, document: name })) });
  const structure = inspectValue(object);
  if (structure.problems.length > 0) return label(structure.problems);
  const kind = Object.hasOwn(object, 'kind') ? object['kind'] : undefined;
  if (typeof kind !== 'string' || !isDocumentKind(kind)) return label([unknownKind(kind)]);
  const hidden = structure.hasPrototypeName ? hidePrototypeNames(object) : object;
  const parsed = schemas[kind].safeParse(hidden, { reportInput: true });
  if (!parsed.success) return label(issueViolations(schemas[kind], parsed.error.issues).map(showPrototypeNames));
  const document = canonicalForm(object);
  return { ok: true, valid: { key: documentKey(document as unknown as { kind: string; name: string }), document } };
}

function unknownKind(kind: Json | undefined): Violation {
  const expected = `one of ${documentKinds.join(', ')}`;
  if (kind === undefined) return { pointer: '/kind', code: 'missing-field', message: 'is missing', expected };
  if (typeof kind !== 'string') return { pointer: '/kind', code: 'wrong-type', message: 'is not a text', expected };
  if (kind === 'Secret') return { pointer: '/kind', code: 'not-available', message: 'a Secret is no document: its value is in no revision. `remora secret set NAME` writes it, documents refer to it by name', expected };
  if (reservedDocumentKinds.includes(kind)) return { pointer: '/kind', code: 'not-available', message: `${kind} is not available in this build`, expected };
  const suggestion = suggest(kind, [...documentKinds, ...reservedDocumentKinds]);
  return { pointer: '/kind', code: 'unknown-kind', message: `there is no kind ${JSON.stringify(kind.slice(0, 60))}`, expected, ...(suggestion === undefined ? {} : { suggestion }) };
}

/** `Policy/x`, as far as the value says so. */
function labelOf(object: JsonObject): string | undefined {
  const { kind, name } = object;
  return typeof kind === 'string' && typeof name === 'string' ? `${kind.slice(0, 40)}/${name.slice(0, 130)}` : undefined;
}

function* validateAll(documents: readonly LoadedDocument[], validateDocument: (value: Json) => ValidationResult): Steps<ValidatedDocuments> {
  const valid: ValidDocument[] = [];
  const violations: Violation[] = [];
  const sources = new Map<DocumentKey, LoadedDocument>();
  for (const loaded of documents) {
    yield;
    const result = validateDocument(loaded.value);
    if (!result.ok) {
      for (const one of result.violations.slice(0, documentLimits.violations - violations.length)) violations.push({ ...one, source: loaded.sourceOf(one.pointer) });
      continue;
    }
    const { key } = result.valid;
    const other = sources.get(key);
    if (other !== undefined) violations.push({ document: key, pointer: '/name', code: 'duplicate-document', message: `${key} is also at ${other.source}`, source: loaded.source });
    sources.set(key, loaded);
    valid.push(result.valid);
  }
  return { documents: valid, violations };
}

function toJsonSchema(kind: DocumentKind, schema: z.ZodType): JsonObject {
  return {
    $id: `https://remora.dev/schemas/${kind}.json`,
    title: kind,
    ...(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' }) as unknown as JsonObject),
  };
}
