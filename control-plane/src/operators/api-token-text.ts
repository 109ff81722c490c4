import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The parts of `rma1.<id>.<secret>.<checksum>`: the token of a person or program at the API. */
export interface ApiTokenParts {
  /** 12 characters; shown in lists, logs and the audit log. */
  readonly id: string;
  /** 43 characters of base64url: 256 random bits. */
  readonly secret: string;
}

/** What every token begins with: scanners for leaked secrets look for it. The number is that of this layout. */
export const apiTokenPrefix = 'rma1';

const idAlphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
const idChars = 12;
const layout = /^rma1\.([a-km-np-z2-9]{12})\.([A-Za-z0-9_-]{43})\.([0-9a-f]{8})$/;

export function makeApiToken(): { readonly parts: ApiTokenParts; readonly text: string } {
  // 32 letters divide 256: every one is as likely as the others.
  const id = [...randomBytes(idChars)].map((byte) => idAlphabet[byte % idAlphabet.length]).join('');
  const parts = { id, secret: randomBytes(32).toString('base64url') };
  return { parts, text: formatApiToken(parts) };
}

export function formatApiToken({ id, secret }: ApiTokenParts): string {
  const body = `${apiTokenPrefix}.${id}.${secret}`;
  return `${body}.${checksum(body)}`;
}

/**
 * Reads a token; a sentence says what is wrong with its form. The checksum is no protection (anybody can make one): it tells a token that was cut
 * or mistyped from a wrong one, offline, and makes a scanner sure of what it found.
 */
export function parseApiToken(text: string): ApiTokenParts | string {
  const match = layout.exec(text);
  if (!match) return `it is no API token: expected ${apiTokenPrefix}.<id>.<secret>.<checksum>`;
  const [, id = '', secret = '', sum] = match;
  if (checksum(`${apiTokenPrefix}.${id}.${secret}`) !== sum) return 'its checksum is wrong: a part of it was cut off or mistyped';
  return { id, secret };
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, '0');
}
