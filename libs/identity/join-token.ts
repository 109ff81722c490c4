import { createHash } from 'node:crypto';
import { isTrustDomain } from './trust-domain.ts';

/**
 * A join token as it is given to a sidecar: `rmj1.<id>.<secret>.<pin>.<trust domain>`. The id names it in lists, the secret
 * (256 random bits) is all that lets in, the pin is the SHA-256 of a root certificate: whoever answers the first contact
 * without a chain to exactly that root is not the control plane. While the authority rolls it is two of them, joined by `~`: the one before, and the one after.
 */
export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  readonly pin: string;
  readonly trustDomain: string;
}

/** The first characters of every token: what scanners for leaked secrets look for. */
export const joinTokenPrefix = 'rmj1';
const idPattern = /^[a-z0-9]{12}$/;
const hashPattern = /^[A-Za-z0-9_-]{43}$/;
const pinsPattern = /^[A-Za-z0-9_-]{43}(?:~[A-Za-z0-9_-]{43})?$/;

export function formatJoinToken({ id, secret, pin, trustDomain }: JoinToken): string {
  return [joinTokenPrefix, id, secret, pin, trustDomain].join('.');
}

/** The token; or a sentence on what is wrong, which shows nothing of it. */
export function parseJoinToken(text: string): JoinToken | string {
  const [prefix, id = '', secret = '', pin = '', ...rest] = text.trim().split('.');
  const trustDomain = rest.join('.');
  if (prefix !== joinTokenPrefix) return `is no join token: those begin with ${joinTokenPrefix}.`;
  if (!idPattern.test(id) || !hashPattern.test(secret) || !pinsPattern.test(pin) || !isTrustDomain(trustDomain)) return 'is no whole join token: was a part of it lost when it was copied?';
  return { id, secret, pin, trustDomain };
}

/** Whether a token names this certificate. */
export function isPinned(pin: string, raw: Uint8Array): boolean {
  return pin.split('~').includes(certificatePin(raw));
}

/** What a pin is made of: SHA-256 of the certificate, base64url. */
export function certificatePin(raw: Uint8Array): string {
  return createHash('sha256').update(raw).digest('base64url');
}
