import type { Json } from '@remora/core/canonical-json';
import { parseStrictJsonBytes } from './strict-json.ts';

/** What a filter asks the control thread, under the topic `tokenIntrospection`. */
export interface IntrospectionQuestion {
  readonly endpoint: string;
  readonly allowPrivateAddresses: boolean;
  readonly clientId: string;
  /** Name of the Secret. */
  readonly clientSecret: string;
  readonly deadlineMs: number;
  readonly token: string;
}

/** What the endpoint said (RFC 7662 section 2.2), or why it said nothing. */
export type IntrospectionAnswer =
  | { readonly claims: Readonly<Record<string, Json>> }
  | { readonly claims: null; readonly problem: string; /** Nobody was asked: the Secret with the client's password is not here. */ readonly secretMissing?: boolean };

export function encodeIntrospectionQuestion(question: IntrospectionQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(question));
}

export function decodeIntrospectionQuestion(body: Uint8Array): IntrospectionQuestion {
  return JSON.parse(Buffer.from(body).toString()) as IntrospectionQuestion;
}

/** `claims` as the endpoint sent them, member `active` included. */
export function encodeIntrospectionAnswer(answer: IntrospectionAnswer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(answer));
}

export function decodeIntrospectionAnswer(body: Uint8Array | null): IntrospectionAnswer {
  const read = body === null ? null : parseStrictJsonBytes(body);
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return { claims: null, problem: 'nobody answers here' };
  const { claims, problem, secretMissing } = read as Readonly<Record<string, Json>>;
  if (typeof claims === 'object' && claims !== null && !Array.isArray(claims)) return { claims: claims as Readonly<Record<string, Json>> };
  return { claims: null, problem: typeof problem === 'string' ? problem : 'nobody answers here', ...(secretMissing === true && { secretMissing }) };
}
