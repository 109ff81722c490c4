import type { Head } from '@remora/http/head';
import { internHeaderName } from '@remora/http/header-ids';
import { decodeQueryText, queryValueAt } from '@remora/policy-kit/query-values';
import type { Component, SignatureInput } from './signature-input.ts';

/** What is signed (RFC 9421 section 2.5); null where the request lacks a component, or has it in a way that is not unambiguous. */
export function signatureBase({ components, text }: SignatureInput, head: Head): string | null {
  let base = '';
  for (const component of components) {
    const value = componentValue(component, head);
    if (value === null) return null;
    base += `${component.text}: ${value}\n`;
  }
  return `${base}"@signature-params": ${text}`;
}

function componentValue({ name, argument }: Component, head: Head): string | null {
  if (!name.startsWith('@')) return argument === '' ? fieldValue(head, name) : null;
  if (argument !== '' && name !== '@query-param') return null;
  switch (name) {
    case '@method': return head.method;
    case '@authority': return authority(head);
    case '@scheme': return head.scheme;
    case '@path': return head.path === '' ? '/' : head.path;
    case '@query': return `?${head.query}`;
    case '@target-uri': return `${head.scheme}://${authority(head)}${head.target}`;
    case '@request-target': return head.target;
    case '@query-param': return parameter(head, argument);
    default: return null;
  }
}

/** Without the port that the scheme implies. */
function authority({ authority: text, scheme }: Head): string {
  const implied = scheme === 'https' ? ':443' : ':80';
  return text.endsWith(implied) ? text.slice(0, -implied.length) : text;
}

/** All lines of a field, joined (RFC 9421 section 2.1). */
function fieldValue(head: Head, name: string): string | null {
  const id = internHeaderName(name);
  if (id === 0) return null;
  const count = head.count(id);
  if (count === 0) return name === 'content-length' && head.bodyLength >= 0 ? String(head.bodyLength) : null;
  let text = head.valueAt(id, 0);
  for (let nth = 1; nth < count; nth++) text += `, ${head.valueAt(id, nth)}`;
  return text;
}

/** Exactly one, encoded again as RFC 9421 section 2.2.8 says. */
function parameter(head: Head, name: string): string | null {
  const decoded = decodeQueryText(name);
  const value = queryValueAt(head.query, decoded, 0);
  if (value === null || queryValueAt(head.query, decoded, 1) !== null) return null;
  return encodeURIComponent(value).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
