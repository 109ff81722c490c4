import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { DocumentKey, StoredDocument } from '../store/store.ts';

/** That one document names another. */
export interface Reference {
  readonly from: DocumentKey;
  readonly pointer: string;
  readonly to: DocumentKey;
}

/** Who in `documents` names one of `targets`: what stands in the way of deleting them. */
export function referrersOf(targets: ReadonlySet<DocumentKey>, documents: Iterable<StoredDocument>): Reference[] {
  const found: Reference[] = [];
  for (const { key, document } of documents) {
    for (const reference of referencesOf(key, document)) if (targets.has(reference.to)) found.push(reference);
  }
  return found;
}

/** Every document that a document names, in the order of its fields. */
export function referencesOf(from: DocumentKey, document: JsonObject): Reference[] {
  const found: Reference[] = [];
  const add = (pointer: string, kind: string, name: Json | undefined): void => {
    if (typeof name === 'string') found.push({ from, pointer, to: `${kind}/${name}` });
  };
  const place = (pointer: string, value: Json | undefined): void => {
    const map = asMap(value);
    add(`${pointer}/service`, 'Service', map['service']);
    add(`${pointer}/gateway`, 'Gateway', map['gateway'] === 'all' ? undefined : map['gateway']);
    add(`${pointer}/route`, 'Route', map['route']);
  };
  switch (from.slice(0, from.indexOf('/'))) {
    case 'Service':
      asList(document['dependsOn']).forEach((name, at) => add(`/dependsOn/${at}`, 'Service', name));
      break;
    case 'Route':
      place('', { service: document['service'] ?? null, gateway: document['gateway'] ?? null });
      asList(document['to']).forEach((target, at) => add(`/to/${at}/service`, 'Service', asMap(target)['service']));
      break;
    case 'Consumer':
      add('/plan', 'Plan', document['plan']);
      break;
    case 'Canary':
      add('/service', 'Service', document['service']);
      asList(document['routes']).forEach((name, at) => add(`/routes/${at}`, 'Route', name));
      break;
    case 'Policy':
      place('/target', document['target']);
      place('/from', document['from']);
      for (const kind of ['fallback', 'mirror']) add(`/${kind}/to/service`, 'Service', asMap(asMap(document[kind])['to'])['service']);
      add('/authentication/anonymous', 'Consumer', asMap(document['authentication'])['anonymous']);
      asList(document['bounds']).forEach((bound, at) => {
        asList(asMap(bound)['except']).forEach((exception, nth) => place(`/bounds/${at}/except/${nth}`, exception));
      });
      break;
    default:
      break;
  }
  return found;
}

function asMap(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function asList(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
