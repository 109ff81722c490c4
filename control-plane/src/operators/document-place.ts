import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { SubjectKey } from '@remora/core/subject';
import type { DocumentKey } from '../store/store.ts';

/**
 * Where a document belongs, for rights: the services and gateways whose it is alone, or `wide` where it reaches further. A
 * Policy belongs to its target wherever it is enforced; who calls (`from`) changes nothing about that.
 */
export type DocumentPlace = 'wide' | readonly SubjectKey[];

export function documentPlace(key: DocumentKey, document: JsonObject): DocumentPlace {
  const kind = key.slice(0, key.indexOf('/'));
  const name = key.slice(key.indexOf('/') + 1);
  switch (kind) {
    case 'Service':
      return [`service/${name}`];
    case 'Gateway':
      return [`gateway/${name}`];
    case 'Route':
    case 'Canary':
      return placeOfNames(document);
    case 'Policy':
      return placeOfNames(asMap(document['target']));
    case 'Secret':
      return placeOfSecret(document);
    default:
      // Mesh, Consumer, Plan, and every kind that is not known here.
      return 'wide';
  }
}

/** `{service: x}` or `{gateway: x}`, and nothing that reaches further. */
function placeOfNames(names: JsonObject): DocumentPlace {
  const { service, gateway } = names;
  if (names['services'] !== undefined || names['gateways'] !== undefined) return 'wide';
  if (typeof service === 'string' && gateway === undefined) return [`service/${service}`];
  if (typeof gateway === 'string' && gateway !== 'all' && service === undefined) return [`gateway/${gateway}`];
  return 'wide';
}

/** A Secret belongs to the services and gateways that it says it is for; one that says nothing is for everybody. */
function placeOfSecret(document: JsonObject): DocumentPlace {
  const subjects: SubjectKey[] = [...asNames(document['services']).map((name): SubjectKey => `service/${name}`), ...asNames(document['gateways']).map((name): SubjectKey => `gateway/${name}`)];
  return subjects.length === 0 ? 'wide' : subjects;
}

function asMap(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function asNames(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
