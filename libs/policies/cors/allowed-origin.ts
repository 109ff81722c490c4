import type { CorsSettings } from './wire.ts';

/**
 * Whether pages of an origin are allowed. Compared as the browser serialises origins, byte for byte (Fetch, section 4.10
 * "CORS check"). `null` only where it is named, or with `*`.
 */
export function isAllowedOrigin(settings: CorsSettings, origin: string): boolean {
  if (origin === '' || origin.length > 300) return false;
  if (settings.anyOrigin || settings.exact.has(origin)) return true;
  if (origin === 'null') return false;
  for (const { head, tail } of settings.suffixes) {
    const between = origin.length - head.length - tail.length;
    if (between > 0 && origin.startsWith(head) && origin.endsWith(tail) && isHostPart(origin, head.length, head.length + between)) return true;
  }
  for (const regex of settings.regexes) if (regex.test(origin) === true) return true;
  return false;
}

/** Letters, digits, `-`, `_` and dots: nothing that could end a host. */
function isHostPart(text: string, at: number, end: number): boolean {
  for (let i = at; i < end; i++) {
    const code = text.charCodeAt(i);
    const lower = code | 0x20;
    const fine = (code >= 0x30 && code <= 0x39) || (lower >= 0x61 && lower <= 0x7a) || code === 0x2d || code === 0x2e || code === 0x5f;
    if (!fine) return false;
  }
  return true;
}
