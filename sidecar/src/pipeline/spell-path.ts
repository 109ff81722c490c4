import { reasons } from '@remora/errors/reason';
import { canonicalPath, type PathSpellingRules } from '@remora/http/canonical-path';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import { answerFor } from './answers.ts';

/** Gives the path its one spelling, which routes and policies are matched by and the next hop gets (RFC 3986 section 6.2.2). Not null: no path at all, refused. */
export function spellPath(head: MessageHead, rules: PathSpellingRules): Answer | null {
  if (head.pathPlain || head.path === '*') return null;
  const path = canonicalPath(head.path, rules);
  if (path === '' || (head.hasQuery && head.query.includes('#'))) return answerFor(reasons.badPath, '');
  if (path !== head.path) head.setPath(path);
  return null;
}
