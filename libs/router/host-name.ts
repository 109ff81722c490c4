/** The host of an authority, without port and trailing dot: what routes match. Brackets of IPv6 literals stay. */
export function hostOf(authority: string): string {
  let end = authority.length;
  if (authority.charCodeAt(0) === 0x5b) {
    const bracket = authority.indexOf(']');
    if (bracket > 0) end = bracket + 1;
  } else {
    const colon = authority.indexOf(':');
    if (colon >= 0) end = colon;
  }
  if (end > 1 && authority.charCodeAt(end - 1) === 0x2e) end -= 1;
  return end === authority.length ? authority : authority.slice(0, end);
}
