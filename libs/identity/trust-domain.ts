/** A SPIFFE trust domain (SPIFFE-ID standard, section 2.1): 1 to 255 of lower-case letters, digits, `.`, `_`, `-`. */
export function isTrustDomain(text: string): boolean {
  return text.length <= 255 && /^[a-z0-9._-]+$/.test(text);
}

/** What is wrong, to follow "the trust domain …". */
export function trustDomainProblem(text: string): string {
  if (text === '') return 'is empty';
  if (text.length > 255) return 'has more than 255 characters';
  return `has other characters than lower-case letters, digits, . _ -: ${JSON.stringify(text.slice(0, 40))}`;
}

/** Where the Mesh document names none. */
export const defaultTrustDomain = 'remora.local';
