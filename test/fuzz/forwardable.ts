import { canonicalPath } from '@remora/http/canonical-path';
import type { MessageHead } from '@remora/http/message-head';

/** Whether the engine behind the codecs passes such a request on: not where its path has a spelling that is refused, nor what asks for something else than HTTP. */
export function isForwardable(head: MessageHead): boolean {
  return head.method !== 'CONNECT' && head.protocol === '' && canonicalPath(head.path, strictPaths) !== '' && !head.target.includes('#');
}

const strictPaths = { allowEncodedSlash: false, allowBackslash: false, mergeSlashes: false, resolveDotSegments: false, allowSemicolon: false, allowEncodedControl: false };
