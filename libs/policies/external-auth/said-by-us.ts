import { HeaderAliases } from '@remora/http/header-aliases';
import { partialBodyHeader } from './header-rules.ts';

/** Headers that tell an authorizer what the request was. Only we say them, in any spelling that it might take for them. */
export function isSaidByUs(lowerName: string): boolean {
  return said.matchesName(lowerName);
}

const said = new HeaderAliases([
  'x-forwarded-method', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-uri', 'x-forwarded-for', 'x-request-id', partialBodyHeader,
]);
