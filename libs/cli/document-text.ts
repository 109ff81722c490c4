import type { Json, JsonObject } from '@remora/core/canonical-json';

/** One cell that says what a document is about: the target of a policy, the owner of a route, the ports of a service. */
export function targetText(document: JsonObject): string {
  const { kind } = document;
  switch (typeof kind === 'string' ? kind : '') {
    case 'Policy': return `${compact(document['target'] ?? {})}${document['from'] === undefined ? '' : ` from ${compact(document['from'])}`}`;
    case 'Route': return document['gateway'] === undefined ? `service ${text(document['service'])}` : `gateway ${text(document['gateway'])}`;
    case 'Service': return keys(document['ports']);
    case 'Gateway': return keys(document['listeners']);
    default: return '';
  }
}

/** `{service: payments}`: JSON as people write it in YAML. */
export function compact(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item) => compact(item as Json)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return `{${Object.entries(value as JsonObject).map(([key, item]) => `${key}: ${compact(item)}`).join(', ')}}`;
  return text(value);
}

function keys(value: Json | undefined): string {
  return typeof value === 'object' && value !== null ? Object.keys(value).join(', ') : '';
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
