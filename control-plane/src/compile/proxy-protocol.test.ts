import { Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expect, test } from 'vitest';
import { startApi } from '../api/testdata/api-fixture.ts';
import { authoringKinds, wireKinds } from '../kinds.ts';
import { documentsOf } from './testdata/plan-text.ts';
import { createPlanner, type Planned } from './planner.ts';

const documents = (extra: string): string => `
kind: Service
name: mail
ports: {smtp: {port: 25, protocol: tcp${extra}}}
endpoints: [{address: 192.0.2.8}]
---
kind: Service
name: web
ports: {http: {port: 80}}
dependsOn: [mail]
---
kind: Service
name: alone
ports: {http: {port: 80}}
`;

function planned(text: string): Planned {
  const result = createPlanner({ kinds: authoringKinds, wireKinds }).plan(null, documentsOf(text), []);
  if (!result.ok) throw new Error(JSON.stringify(result.violations));
  return result.planned;
}

/** What the subject is told of ports with a PROXY protocol header. */
function told(result: Planned, subject: 'service/mail' | 'service/web'): string[] {
  return [...(result.compilation.subjects.get(subject)?.resources.values() ?? [])].flatMap((bytes) => {
    const { body } = Resource.decode(bytes);
    if (body?.$case === 'inbound') return [`inbound ${body.value.portName} ${body.value.proxyProtocol}`];
    return body?.$case === 'destination' ? body.value.ports.map(({ name, proxyProtocol }) => `destination ${body.value.service} ${name} ${proxyProtocol}`) : [];
  }).sort();
}

test('a port with a PROXY protocol header is known to its sidecar and to callers, and concerns nobody else', () => {
  const [without, announced] = [planned(documents('')), planned(documents(', proxyProtocol: v1'))];
  expect(told(announced, 'service/mail')).toEqual(['inbound smtp v1']);
  expect(told(announced, 'service/web')).toEqual(['destination mail smtp v1', 'inbound http ']);
  const changed = [...announced.compilation.subjects].filter(([subject, { hash }]) => without.compilation.subjects.get(subject)?.hash !== hash).map(([subject]) => subject);
  expect(changed.sort()).toEqual(['service/mail', 'service/web']);
});

test('a sidecar that does not know the field is told that it does not: only where the field is used', () => {
  const format = (result: Planned, subject: 'service/mail' | 'service/web' | 'service/alone'): number | undefined => {
    const { manifest } = result.compilation.subjects.get(subject) ?? {};
    return manifest && Manifest.decode(manifest).format;
  };
  const [without, announced] = [planned(documents('')), planned(documents(', proxyProtocol: v1'))];
  expect((['service/mail', 'service/web', 'service/alone'] as const).map((subject) => format(without, subject))).toEqual([1, 1, 1]);
  expect((['service/mail', 'service/web', 'service/alone'] as const).map((subject) => format(announced, subject))).toEqual([2, 2, 1]);
});

test('a dry run shows the field; the document says it afterwards; what is no version is refused by field', async () => {
  const api = await startApi();
  await api.apply(documents(''));
  const dry = await api.apply(documents(', proxyProtocol: v2'), '?dryRun');
  expect(JSON.stringify(dry.changes)).toContain('/ports/smtp/proxyProtocol');
  await api.apply(documents(', proxyProtocol: v2'));
  expect((await api.call('GET', '/v1/services/mail')).body).toMatchObject({ ports: { smtp: { proxyProtocol: 'v2' } } });
  const refused = await api.call('POST', '/v1/apply', { body: documents(', proxyProtocol: on') });
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('/ports/smtp/proxyProtocol');
  await api.close();
});
