import type { Json } from '@remora/core/canonical-json';
import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { parseStrictJsonBytes } from '@remora/policy-kit/tokens/strict-json';
import type { HelperAnswer } from '../helpers/helper-client.ts';

/**
 * What a token endpoint answered (RFC 6749 sections 5.1 and 5.2). `unavailable` is what speaks of the issuer or of our own client, and counts for the breaker; a
 * 400 about what a browser brought does not, whatever it says: otherwise anybody could make it pause.
 */
export function readTokenAnswer(answer: HelperAnswer): LoginAnswer {
  if (!answer.ok) return { outcome: 'unavailable', problem: `${answer.code}: ${answer.message}` };
  const json = parseStrictJsonBytes(answer.body);
  const members = typeof json === 'object' && json !== null && !Array.isArray(json) ? json as Readonly<Record<string, Json>> : null;
  if (answer.status !== 200) return readError(answer.status, members);
  if (members === null) return { outcome: 'unavailable', problem: 'the answer of the issuer is no JSON object, or names a member twice' };
  const expires = members['expires_in'];
  const [idToken, refreshToken, scope] = ['id_token', 'refresh_token', 'scope'].map((name) => textOf(members[name])) as [string, string, string];
  if (Math.max(idToken.length, refreshToken.length, scope.length) > textMax) return { outcome: 'unusable', problem: `a token of more than ${textMax} characters` };
  return { outcome: 'tokens', idToken, refreshToken, scope, expiresInSeconds: typeof expires === 'number' && expires > 0 && expires < 1e9 ? expires : 0 };
}

function readError(status: number, members: Readonly<Record<string, Json>> | null): LoginAnswer {
  const error = errorForm.exec(textOf(members?.['error']))?.[0] ?? '';
  if (status === 401 || error === 'invalid_client' || error === 'unauthorized_client') return { outcome: 'unavailable', problem: `the issuer does not know the client, or its secret (${status})` };
  if (status === 400) return { outcome: 'refused', problem: error === '' ? 'it answered 400' : error };
  return { outcome: 'unavailable', problem: `the issuer answered ${status}` };
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** As a token of ours may be long. */
const textMax = 8_192;
const errorForm = /^[a-z_]{1,40}$/;
