import type { Json } from '@remora/core/canonical-json';
import { encodeKeySet, type KeySource } from '@remora/policy-kit/tokens/issuer-keys';
import { readKeySet } from '@remora/policy-kit/tokens/key-set';
import { readPublicJwk } from '@remora/policy-kit/tokens/verification-key';
import { parseStrictJsonBytes } from '@remora/policy-kit/tokens/strict-json';
import type { HelperAnswer, HelperClient } from '../helpers/helper-client.ts';

/** Keys as an issuer publishes them now, or why they cannot be had. */
export type FetchedKeySet =
  | { readonly ok: true; readonly body: Uint8Array; readonly keys: number; readonly left: readonly string[]; readonly freshMs: number }
  | { readonly ok: false; readonly code: string; readonly message: string };

/**
 * Fetches the keys of an issuer, by way of its discovery document (OpenID Connect Discovery 1.0 section 4) where their address is not given. That document must
 * be the issuer's own; the addresses in it are judged like any other. A set without a key that can be used is a failure: keys that were good are not given up for it.
 */
export async function fetchIssuerKeys(client: HelperClient, source: KeySource): Promise<FetchedKeySet> {
  const address = source.uri === '' ? await discover(client, source) : { ok: true as const, uri: source.uri };
  if (!address.ok) return address;
  const answer = await get(client, address.uri, source);
  if (!answer.ok) return answer;
  const json = parseStrictJsonBytes(answer.body);
  const read = readKeySet(json);
  if (typeof read === 'string') return failed('not-keys', `${address.uri}: ${read}`);
  if (read.set.keys.length === 0) return failed('no-keys', `${address.uri} has no key that verifies anything${read.left[0] === undefined ? '' : ` (${read.left[0]})`}`);
  const usable = ((json as { readonly keys: readonly Json[] }).keys).filter((jwk) => typeof readPublicJwk(jwk) !== 'string').map(publicMembers);
  return { ok: true, body: encodeKeySet(usable), keys: usable.length, left: read.left, freshMs: freshMs(answer.headers) };
}

/** The discovery document, of which `member` is wanted; also for whoever needs other addresses of an issuer. */
export async function readDiscovery(client: HelperClient, { issuer, allowPrivateAddresses }: Pick<KeySource, 'issuer' | 'allowPrivateAddresses'>): Promise<{ readonly ok: true; readonly document: Readonly<Record<string, Json>> } | { readonly ok: false; readonly code: string; readonly message: string }> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const answer = await get(client, url, { allowPrivateAddresses });
  if (!answer.ok) return answer;
  const document = parseStrictJsonBytes(answer.body);
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return failed('not-discovery', `${url} is no JSON object`);
  const members = document as Readonly<Record<string, Json>>;
  return members['issuer'] === issuer ? { ok: true, document: members } : failed('other-issuer', `${url} is of another issuer: ${JSON.stringify(members['issuer'] ?? null).slice(0, 200)}`);
}

async function discover(client: HelperClient, source: KeySource): Promise<{ readonly ok: true; readonly uri: string } | { readonly ok: false; readonly code: string; readonly message: string }> {
  const found = await readDiscovery(client, source);
  if (!found.ok) return found;
  const uri = found.document['jwks_uri'];
  return typeof uri === 'string' && uri.length <= 2048 ? { ok: true, uri } : failed('not-discovery', 'the discovery document names no jwks_uri');
}

async function get(client: HelperClient, url: string, { allowPrivateAddresses }: Pick<KeySource, 'allowPrivateAddresses'>): Promise<Extract<HelperAnswer, { ok: true }> | { readonly ok: false; readonly code: string; readonly message: string }> {
  const answer = await client.request({ url, method: 'GET', headers: { accept: 'application/json' }, deadlineMs: fetchDeadlineMs, bodyBytesMax: fetchBytesMax, allowPrivateAddresses });
  if (!answer.ok) return { ...answer, message: `${url}: ${answer.message}` };
  return answer.status === 200 ? answer : failed('status', `${url} answered ${answer.status}`);
}

/** RFC 9111 section 5.2.2, within bounds: nobody makes us ask all the time, or never again. */
function freshMs(headers: Readonly<Record<string, string>>): number {
  const control = (headers['cache-control'] ?? '').toLowerCase();
  if (/(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])/.test(control)) return freshMinMs;
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})/.exec(control)?.[1];
  if (maxAge === undefined) return freshUsualMs;
  return Math.min(freshMaxMs, Math.max(freshMinMs, Number(maxAge) * 1000));
}

/** What a key needs: certificates and the like only cost memory. */
function publicMembers(jwk: Json): Json {
  const from = jwk as Readonly<Record<string, Json>>;
  const kept = Object.create(null) as Record<string, Json>;
  for (const name of ['kty', 'kid', 'alg', 'use', 'key_ops', 'crv', 'x', 'y', 'n', 'e']) if (from[name] !== undefined) kept[name] = from[name];
  return kept;
}

function failed(code: string, message: string): { readonly ok: false; readonly code: string; readonly message: string } {
  return { ok: false, code, message };
}

const fetchDeadlineMs = 5_000;
const fetchBytesMax = 1024 * 1024;
const freshMinMs = 60_000;
const freshUsualMs = 300_000;
const freshMaxMs = 3_600_000;
