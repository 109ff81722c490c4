import type { JsonObject } from '@remora/core/canonical-json';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { TestIssuer } from '@remora/testing/test-issuer';
import { jwtAuthoring } from './compile.ts';
import { jwtRuntime } from './filter.ts';
import type { JwtSettings } from './wire.ts';

/** A token of ES256 that was seen before, with two claims to headers. */
export function bench(): KindCost {
  const issuer = new TestIssuer();
  const token = issuer.token({ realm_access: { roles: ['a', 'b'] }, scope: 'read write', azp: 'mobile-app' });
  const section: JsonObject = {
    issuers: { shop: { issuer: issuer.issuer, audiences: ['orders'], jwks: issuer.jwks() } }, claimsToHeaders: { 'x-user-id': 'sub', 'x-roles': 'realm_access.roles' },
  };
  const step = { ...typicalStep, request: { ...typicalStep.request, headers: { ...(typicalStep.request.headers as Record<string, string>), authorization: `Bearer ${token}` } } };
  return measureEdge(jwtAuthoring, seenBefore(step), section, step);
}

/** The token is verified before anything is measured: in shadow that takes no waiting, and what was verified is the thread's. */
function seenBefore(step: ExchangeStep): RuntimeKind<JwtSettings> {
  return {
    ...jwtRuntime,
    edge(settings, context) {
      const shadow = jwtRuntime.edge?.(settings, Object.assign(Object.create(context) as FilterContext, { shadow: true }));
      shadow?.request?.(makeExchange(step, context));
      return jwtRuntime.edge?.(settings, context) ?? null;
    },
  };
}
