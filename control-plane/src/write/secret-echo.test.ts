import { loadDocuments } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import { describe, expect, test } from 'vitest';
import { authoringKinds } from '../kinds.ts';

const model = createModel({ kinds: authoringKinds, checkRegex: () => null });
const password = 'Hunter2-kept';

function violationsOf(yaml: string): string {
  const { documents, violations } = loadDocuments([{ name: 'a.yaml', bytes: Buffer.from(yaml) }]);
  const all = [...violations, ...model.validateDocuments(documents).violations];
  expect(all.length).toBeGreaterThan(0);
  return JSON.stringify(all);
}

const mesh = (redis: string): string => `{kind: Mesh, name: mesh, stores: {redis: ${redis}}}`;
const policy = (section: string): string => `{kind: Policy, name: p, target: {service: orders}, ${section}}`;

describe('a password that stands where it does not belong is refused, and never said again', () => {
  test.each([
    ['instead of a reference', mesh(`{address: "redis:6379", password: ${password}}`)],
    ['a number', mesh('{address: "redis:6379", password: 24681357}')],
    ['as the name of a Secret', mesh(`{address: "redis:6379", password: {secret: "${password}!"}}`)],
    ['a list of them', mesh(`{address: "redis:6379", password: [${password}]}`)],
    ['of Sentinels', mesh(`{sentinel: {addresses: ["a:1"], master: m, password: ${password}}}`)],
    ['in the address', mesh(`{address: "redis://app:${password}@redis:6379"}`)],
    ['in the address, without a scheme', mesh(`{address: "app:${password}@redis:6379"}`)],
    ['instead of TLS', mesh(`{address: "redis:6379", tls: ${password}}`)],
    ['instead of the store', mesh(password)],
    ['as a tag', mesh(`{address: "redis:6379", password: !${password} x}`)],
    ['of a client of introspection', policy(`tokenIntrospection: {endpoint: "https://idp.example/introspect", clientId: a, clientSecret: ${password}}`)],
    ['of such a client, as a name', policy(`tokenIntrospection: {endpoint: "https://idp.example/introspect", clientId: a, clientSecret: {secret: "${password}!"}}`)],
    ['of a login', policy(`oidcLogin: {issuer: "https://idp.example", clientId: a, clientSecret: ${password}, sessionKey: ${password}}`)],
    ['of a login, as names', policy(`oidcLogin: {issuer: "https://idp.example", clientId: a, clientSecret: {secret: "${password}!"}, sessionKey: {secret: "${password}?"}}`)],
    ['of a Gateway', `{kind: Gateway, name: edge, listeners: {https: {port: 443, tls: {certificates: [{secret: "${password}!"}, ${password}]}}}}`],
  ])('%s', (_where, yaml) => {
    const said = violationsOf(yaml);
    expect(said).not.toContain(password);
    expect(said).not.toContain('24681357');
  });

  test('what is no secret is said, so that people find it', () => {
    expect(violationsOf(mesh('{address: "redis:6379", allowPrivateAddresses: "yes please"}'))).toContain('yes please');
    expect(violationsOf(mesh('{address: "no port"}'))).toContain('no port');
  });
});
