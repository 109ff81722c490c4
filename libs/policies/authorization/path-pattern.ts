/**
 * Which paths: `/orders` exactly, `/orders/*` with everything below, `/orders/{id}` with any segment in its place. Segments are those of the canonical path
 * (libs/http/canonical-path.ts).
 */
export interface PathPattern {
  /** Null: any one segment. */
  readonly segments: readonly (string | null)[];
  readonly below: boolean;
}

/** For text without `pathProblem`. */
export function readPathPattern(text: string): PathPattern {
  const below = text.endsWith('/*');
  const stem = below ? text.slice(0, -2) : text;
  const segments = stem === '' ? [] : stem.slice(1).split('/');
  return { segments: segments.map((segment) => (segment.startsWith('{') ? null : segment)), below };
}

/** Why a text is no such pattern; null where it is one. */
export function pathProblem(text: string): string | null {
  if (text.length > 1_024) return 'is too long';
  if (!text.startsWith('/')) return 'does not begin with /';
  const stem = text.endsWith('/*') ? text.slice(0, -2) : text;
  const segments = stem.split('/').slice(1);
  for (const [i, segment] of segments.entries()) {
    if (/^\{[A-Za-z_][A-Za-z0-9_]{0,62}\}$/.test(segment)) continue;
    if (/[{}*]/.test(segment)) return 'has {, } or * elsewhere than as a whole segment, or * before the end';
    if (!/^(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-F]{2})*$/.test(segment)) return 'has characters that a canonical path does not have (percent-encode them with upper-case digits)';
    if (segment === '.' || segment === '..') return 'has a segment that is . or ..';
    if (segment === '' && i < segments.length - 1) return 'has an empty segment';
  }
  return segments.length > segmentsMax ? `has more than ${segmentsMax} segments` : null;
}

export const segmentsMax = 64;
