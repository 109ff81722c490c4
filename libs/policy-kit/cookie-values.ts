import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';

const cookieId = headerId('cookie');

/**
 * The nth value of a cookie over all `Cookie` fields (RFC 6265 section 4.2), as sent: neither decoded nor unquoted. Names
 * are case-sensitive. Null where there is none.
 */
export function cookieValueAt(head: Head, name: string, nth: number): string | null {
  let seen = 0;
  const fields = head.count(cookieId);
  for (let i = 0; i < fields; i++) {
    const text = head.valueAt(cookieId, i);
    let at = 0;
    while (at < text.length) {
      let end = text.indexOf(';', at);
      if (end < 0) end = text.length;
      let start = at;
      while (start < end && isSpace(text.charCodeAt(start))) start++;
      const equals = start + name.length;
      if (equals < end && text.charCodeAt(equals) === 0x3d && text.startsWith(name, start) && seen++ === nth) {
        let last = end;
        while (last > equals + 1 && isSpace(text.charCodeAt(last - 1))) last--;
        return text.slice(equals + 1, last);
      }
      at = end + 1;
    }
  }
  return null;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
