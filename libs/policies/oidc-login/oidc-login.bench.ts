import { systemClock } from '@remora/core/clock';
import { FactBooks } from '@remora/policy-kit/facts';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { TestFilterContext } from '@remora/testing/filter-context';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { oidcLoginAuthoring } from './compile.ts';
import { CookieSeal } from './cookie-seal.ts';
import { oidcLoginRuntime } from './filter.ts';
import { makeSession } from './session.ts';
import type { OidcLoginSettings } from './wire.ts';

const section = { issuer: 'https://login.example', clientId: 'shop', clientSecret: { secret: 'shop-client' }, sessionKey: { secret: 'sessions' } };
const secrets = { kind: 'secret', full: true, facts: new Map([['sessions', Buffer.from('a key of sessions that is long enough')]]) };

/** A browser with a session that was seen before, and a cookie of the app's own beside it. */
export function bench(): KindCost {
  const books = new FactBooks();
  books.apply(secrets);
  const seal = new CookieSeal({ secrets: books.of('secret'), names: ['sessions'], purpose: JSON.stringify(['session', 'gateway/edge/', section.issuer, section.clientId]) });
  const nowMs = systemClock.wallMs();
  const claims = { iss: section.issuer, sub: 'f3b9a1c2-0000-4000-8000-000000000000', email: 'anna@shop.example', name: 'Anna Shopper', preferred_username: 'anna' };
  const session = makeSession(claims, { refreshToken: 'r'.repeat(600), scope: 'openid email', expiresInSeconds: 1e8 }, { keep: ['email', 'name', 'preferred_username'], end: nowMs + 1e12, nowMs });
  const headers = { ...(typicalStep.request.headers as Record<string, string>), cookie: `session=abc; __Host-remora=${seal.seal(JSON.stringify(session)) ?? ''}` };
  return measureEdge(oidcLoginAuthoring, knowing(), section, { ...typicalStep, request: { ...typicalStep.request, headers } });
}

function knowing(): RuntimeKind<OidcLoginSettings> {
  return {
    ...oidcLoginRuntime,
    edge(settings, context) {
      if (context instanceof TestFilterContext) {
        context.factBooks.apply(secrets);
        const consumers = consumersNamed('anna').map((consumer) => ({ ...consumer, identities: [{ issuer: section.issuer, claim: 'email', value: 'anna@shop.example' }] }));
        context.factBooks.apply(consumerFacts({ 'consumers.0': { consumers } }, true));
      }
      return oidcLoginRuntime.edge?.(settings, context) ?? null;
    },
  };
}
