import { hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import type { HeldBody } from '@remora/policy-kit/exchange';
import type { BodySettings } from './wire.ts';

/** What an authorizer is told of a request's body. */
export interface BodyForAuthorizer {
  readonly bytes: Uint8Array;
  /** There is more of it, or may be. */
  readonly partial: boolean;
}

/** Null: there is more than may be told, and the settings want all of it. */
export function bodyForAuthorizer(body: HeldBody, { maxBytes, allowPartial }: BodySettings): BodyForAuthorizer | null {
  if (body.length > maxBytes && !allowPartial) return null;
  return { bytes: body.bytes(maxBytes), partial: !body.complete || body.length > maxBytes };
}

/** How much of it has to be held: where a longer body is refused, enough to see that it is longer. */
export function bytesToHold({ maxBytes, allowPartial }: BodySettings): number {
  return allowPartial ? maxBytes : maxBytes + 1;
}

/** As Envoy tells it: `true` or `false`; null where there is no body. */
export function partialHeader({ bytes, partial }: BodyForAuthorizer): string | null {
  return bytes.length === 0 && !partial ? null : String(partial);
}

/** Bodies that are the same to an authorizer, and no others, have the same. */
export function bodyKey({ bytes, partial }: BodyForAuthorizer): string {
  return `${partial ? 'partial' : 'whole'}:${hash('sha256', bytes, 'base64')}`;
}

/** Bytes that are no text stand as U+FFFD in a text. */
export function asUtf8(bytes: Uint8Array): Uint8Array {
  return isUtf8(bytes) ? bytes : new TextEncoder().encode(new TextDecoder().decode(bytes));
}
