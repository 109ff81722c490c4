import { internHeaderName } from '@remora/http/header-ids';
import { buildRequestHead } from '@remora/http/head-builder';
import { expect, it } from 'vitest';
import { addForwardedFields, forwardedFields, removeOutsideHeaders } from './outside-headers.ts';

function after(headers: readonly (readonly [string, string])[]): string[] {
  const head = buildRequestHead({ method: 'GET', authority: '', target: '/', headers });
  removeOutsideHeaders(head);
  const names: string[] = [];
  head.forEach((name) => names.push(name));
  return names;
}

it('takes away what only Remora and its gateways may say, in every alias', () => {
  internHeaderName('x-remora-anything');
  expect(after([
    ['X-Remora-Deadline', '1'], ['x_remora_deadline', '1'], ['X.Remora-Hop', '1'], ['x-remora_attempt', '1'], ['x-remora-anything', '1'], ['X-Forwarded-For', '1'],
    ['x_forwarded_for', '1'], ['X-Forwarded-Proto', 'https'], ['Forwarded', 'for=1'], ['x-other', '1'], ['x-remoraless', '1'], ['x_own', '1'],
  ])).toEqual(['x-other', 'x-remoraless', 'x_own']);
});

it('leaves the way that a request has come, so that circles end', () => {
  expect(after([['X-Remora-Hop', '01234567'], ['x_remora_hop', '1'], ['x-remora-attempt', '1']])).toEqual(['x-remora-hop']);
});

it('begins the account of the client, or goes on with a trusted one', () => {
  const fields = forwardedFields('9.9.9.9', false);
  const head = buildRequestHead({ method: 'GET', authority: '', target: '/', headers: { 'x-forwarded-for': ['1.1.1.1', '2.2.2.2'], 'x-forwarded-proto': 'https' } });
  addForwardedFields(head, fields, true);
  const seen: string[] = [];
  head.forEach((name, value) => seen.push(`${name}: ${value}`));
  expect(seen).toEqual(['x-forwarded-proto: https', 'x-forwarded-for: 1.1.1.1, 2.2.2.2, 9.9.9.9']);
});
