import { createMemoryStore } from '../store/memory-store.ts';
import { systemClock } from '@remora/core/clock';
import { parseAllDocuments } from 'yaml';
import { afterEach, describe, expect, test } from 'vitest';
import { documentKey } from '@remora/model/document-key';
import type { Store } from '../store/store.ts';
import { startApi, type ApiFixture } from './testdata/api-fixture.ts';

/** A store as an older build left it, which took what is refused today. */
async function olderStore(yaml: string): Promise<Store> {
  const store = createMemoryStore({ clock: systemClock });
  const changes = parseAllDocuments(yaml).map((one) => {
    const after = one.toJS() as { readonly kind: string; readonly name: string };
    return { key: documentKey(after), before: null, after, ownerBefore: '', ownerAfter: '' };
  });
  await store.append({ expectedHead: store.head(), author: 'older', message: '', kind: 'documents', grants: [], changes });
  return store;
}

const documents = `
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [payments, ledger]}
---
{kind: Service, name: payments, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1, weight: 0}]}
---
{kind: Service, name: ledger, ports: {http: {port: 80}}}
---
{kind: Policy, name: hedge, target: {}, hedging: {delay: 2s}}
---
{kind: Policy, name: quick, target: {service: payments}, timeout: {request: 1s}}
---
{kind: Policy, name: itself, target: {service: payments}, fallback: {to: {service: payments}}}
---
{kind: Policy, name: asked, target: {service: ledger}, healthCheck: {port: admin}}
`;

const all = ['Policy/asked /healthCheck/port', 'Policy/hedge /hedging/delay', 'Policy/itself /fallback/to/service', 'Service/payments /endpoints'];

describe('contradictions that an older build took', () => {
  const open: ApiFixture[] = [];
  afterEach(async () => {
    for (const api of open.splice(0)) await api.close();
  });

  async function upgraded(store: Store): Promise<ApiFixture> {
    const api = await startApi({ store });
    open.push(api);
    return api;
  }

  const standing = async (api: ApiFixture): Promise<string[]> => {
    const { status, body } = await api.call('GET', '/readyz');
    expect(status).toBe(200);
    return (body.contradictions as readonly { readonly document: string; readonly pointer: string }[]).map(({ document, pointer }) => `${document} ${pointer}`).sort();
  };

  const refused = async (api: ApiFixture, yaml: string): Promise<string[]> => {
    const { status, body } = await api.call('POST', '/v1/apply', { body: yaml });
    expect([status, body.code]).toEqual([422, 'documents-refused']);
    return (body.violations as readonly { readonly document: string; readonly pointer: string }[]).map(({ document, pointer }) => `${document} ${pointer}`);
  };

  test('are enforced as before, and told with document and field', async () => {
    const api = await upgraded(await olderStore(documents));
    expect(await standing(api)).toEqual(all);
    const { body } = await api.call('GET', '/v1/explain?service=payments&caller=service/web');
    expect(JSON.stringify(body)).toContain('"hedging"');
    const state = api.controlPlane.writePath.state();
    if (state.kind !== 'ready') throw new Error(state.kind);
    expect([...state.planned.compilation.subjects.keys()].sort()).toEqual(['service/ledger', 'service/payments', 'service/web']);
    expect(state.planned.staticEndpoints.get('payments')?.endpoints).toHaveLength(1);
  });

  test('do not stand in the way of other edits, also of the same places', async () => {
    const api = await upgraded(await olderStore(documents));
    await api.apply('{kind: Service, name: web, ports: {http: {port: 8080}}, dependsOn: [payments, ledger]}');
    await api.apply('{kind: Policy, name: again, target: {service: payments}, retry: {retries: 2}}');
    await api.apply('{kind: Service, name: more, ports: {http: {port: 80}}, dependsOn: [payments]}');
    expect(await standing(api)).toEqual(all);
  });

  test('are refused where they are written again, and new ones everywhere', async () => {
    const api = await upgraded(await olderStore(documents));
    expect(await refused(api, '{kind: Policy, name: hedge, target: {}, hedging: {delay: 3s}}')).toEqual(['Policy/hedge /hedging/delay']);
    expect(await refused(api, '{kind: Policy, name: itself, target: {service: payments}, fallback: {to: {service: payments}}, retry: {retries: 1}}')).toEqual(['Policy/itself /fallback/to/service']);
    expect(await refused(api, '{kind: Service, name: payments, ports: {http: {port: 81}}, endpoints: [{address: 10.0.0.1, weight: 0}]}')).toContain('Service/payments /endpoints');
    expect(await refused(api, '{kind: Policy, name: fast, target: {service: ledger}, timeout: {request: 500ms}}')).toEqual(['Policy/hedge /hedging/delay']);
    expect(await refused(api, '{kind: Policy, name: quick, target: {service: payments}, timeout: {request: 900ms}}')).toEqual(['Policy/hedge /hedging/delay']);
    expect(await standing(api)).toEqual(all);
  });

  test('end with an edit each, in any order, and a restart finds what is left', async () => {
    const store = await olderStore(documents);
    const api = await upgraded(store);
    const left = [...all];
    for (const [what, yaml] of [
      ['Policy/itself /fallback/to/service', '{kind: Policy, name: itself, target: {service: payments}, fallback: {answer: {status: 200}}}'],
      ['Service/payments /endpoints', '{kind: Service, name: payments, ports: {http: {port: 80}}, endpoints: [{address: 10.0.0.1}]}'],
      ['Policy/asked /healthCheck/port', '{kind: Service, name: ledger, ports: {http: {port: 80}, admin: {port: 81}}}'],
    ] as const) {
      await api.apply(yaml);
      left.splice(left.indexOf(what), 1);
      expect(await standing(api)).toEqual(left);
      expect(await standing(await upgraded(store))).toEqual(left);
    }
    await api.apply('{kind: Policy, name: quick, target: {service: payments}, timeout: {request: 3s}}');
    expect(await standing(api)).toEqual([]);
  });

  test('are not brought back by a revert or restore-to, which say where they are and what to do instead', async () => {
    const api = await upgraded(await olderStore(documents));
    await api.apply('{kind: Policy, name: hedge, target: {}, hedging: {delay: 500ms}}');
    const { index } = api.controlPlane.store.head();
    await api.apply('{kind: Policy, name: more, target: {}, retry: {retries: 1}}');
    const hedge = { document: 'Policy/hedge', pointer: '/hedging/delay', code: 'contradiction' };
    const reverted = await api.call('POST', `/v1/revisions/${index}/revert`);
    expect(reverted.body).toMatchObject({ status: 422, code: 'documents-refused', violations: [hedge] });
    expect(reverted.body.detail).toBe(`1 violation: what revision ${index} replaced is no longer taken as it was. Apply the documents named here, corrected, instead`);
    const restored = await api.call('POST', `/v1/restore-to/${index - 1}`);
    expect(restored.body).toMatchObject({ status: 422, code: 'documents-refused', violations: [hedge], detail: expect.stringMatching(/^1 violation: the state after revision \d+ is no longer taken as it was\. Go to another one/) });
    expect((await api.call('POST', `/v1/revisions/${index + 1}/revert`)).status).toBe(200);
  });

  test('end with what they are about', async () => {
    const api = await upgraded(await olderStore(documents));
    expect((await api.call('POST', '/v1/delete', { body: { documents: ['Policy/quick', 'Policy/itself', 'Policy/asked'] } })).status).toBe(200);
    expect(await standing(api)).toEqual(['Service/payments /endpoints']);
  });
});
