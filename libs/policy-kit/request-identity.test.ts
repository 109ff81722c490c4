import { describe, expect, it } from 'vitest';
import type { Answer } from './exchange.ts';
import { credentialBit, RequestIdentity, type FoundCredential } from './request-identity.ts';

const found = (part: Partial<FoundCredential>): FoundCredential => ({ consumer: null, subject: '', issuer: '', claims: null, scopes: [], ...part });
const consumer = { name: 'mobile', groups: [], plan: '' };

describe('RequestIdentity', () => {
  it('is who the first valid credential says; later ones add what is missing', () => {
    const identity = new RequestIdentity();
    identity.finds('jwt', found({ subject: 'ana', issuer: 'https://kc', claims: { sub: 'ana' }, scopes: ['read'] }));
    identity.finds('apiKey', found({ subject: 'key-1', consumer, scopes: ['write'] }));
    expect(identity).toMatchObject({ subject: 'ana', issuer: 'https://kc', consumer, claims: { sub: 'ana' }, scopes: ['read', 'write'] });
    expect(identity.proved).toBe(credentialBit('jwt') | credentialBit('apiKey'));
  });

  it('keeps the first failure whatever others find', () => {
    const identity = new RequestIdentity();
    const refusal = { status: 401 } as Answer;
    identity.fails('jwt', refusal);
    identity.fails('apiKey', { status: 403 } as Answer);
    identity.finds('basicAuth', found({ consumer }));
    expect([identity.failure, identity.failedKind]).toEqual([refusal, 'jwt']);
  });
});
