import type { Json, JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { DocumentKey, StoredDocument } from '../store/store.ts';

/** That a document names a Secret. */
export interface SecretReference {
  readonly from: DocumentKey;
  readonly pointer: string;
  readonly name: string;
}

/** Every `{secret: name}` of the documents: what stands in the way of deleting Secrets. */
export function secretReferences(documents: Iterable<StoredDocument>): SecretReference[] {
  const found: SecretReference[] = [];
  const look = (from: DocumentKey, pointer: string, value: Json): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, inner] of Array.isArray(value) ? (value as readonly Json[]).entries() : Object.entries(value as JsonObject)) {
      const at = joinPointer(pointer, String(name));
      if (name === 'secret' && typeof inner === 'string') found.push({ from, pointer: at, name: inner });
      else look(from, at, inner);
    }
  };
  for (const { key, document } of documents) look(key, '', document);
  return found;
}
