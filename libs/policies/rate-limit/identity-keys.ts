import { asksWho, type EntryMatch } from '@remora/policy-kit/entry-match';

/** Whether a limit counts by who the request is from, or is about some of them only: then it runs after authorization. */
export function needsIdentity(key: readonly string[], match: Partial<Pick<EntryMatch, 'callers' | 'consumers'>> = {}): boolean {
  return asksWho(match) || key.some((part) => part === 'consumer' || part === 'caller' || part.startsWith('claim.'));
}
