import type { Json } from '@remora/core/canonical-json';
import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { claimText } from '../claim-value.ts';
import { WireError } from '../runtime-kind.ts';
import { boundedList, boundedText, wireHeaderName } from '../wire-check.ts';
import { hasControl } from './control-characters.ts';

/** A header for the app, set from a claim. */
export interface ClaimHeader {
  /** Lower case. */
  readonly header: string;
  readonly claim: string;
}

/** The fields of these claims, or the header that one of them cannot stand in: control characters, more than 4,096. What is missing sets nothing. */
export function claimFields(headers: readonly ClaimHeader[], claims: Readonly<Record<string, Json>>): readonly Field[] | string {
  const fields: Field[] = [];
  for (const { header, claim } of headers) {
    const value = claimText(claims, claim);
    if (value === '') continue;
    if (value.length > headerLengthMax || hasControl(value)) return header;
    fields.push(makeField(header, value));
  }
  return fields;
}

/** The wire form, checked again. */
export function readClaimHeaders(list: readonly ClaimHeader[]): readonly ClaimHeader[] {
  return Object.freeze(boundedList(list, '/claimsToHeaders', claimHeadersMax).map(({ header, claim }) => {
    const name = wireHeaderName(header, '/claimsToHeaders');
    if (gatewayHeaders.has(name)) throw new WireError(`/claimsToHeaders/${name}`, 'invalid-value', `${name} is not for claims`);
    return Object.freeze({ header: name, claim: boundedText(claim, `/claimsToHeaders/${name}`, 256) });
  }));
}

/** Headers that no claim may become: they frame, route, authenticate, or are the gateway's own. */
export const gatewayHeaders: ReadonlySet<string> = new Set([
  'host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'keep-alive', 'proxy-connection', 'via', 'forwarded',
  'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-client-cert', 'x-request-id', 'traceparent', 'tracestate',
  'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'content-type', 'content-encoding', 'origin', 'grpc-timeout',
]);

export const claimHeadersMax = 64;
const headerLengthMax = 4096;
