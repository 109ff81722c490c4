import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { accessLogWire } from '@remora/policy-access-log/wire';
import { apiKeyWire } from '@remora/policy-api-key/wire';
import { authenticationWire } from '@remora/policy-authentication/wire';
import { authorizationWire } from '@remora/policy-authorization/wire';
import { basicAuthWire } from '@remora/policy-basic-auth/wire';
import { circuitBreakerWire } from '@remora/policy-circuit-breaker/wire';
import { clientCertificateWire } from '@remora/policy-client-certificate/wire';
import { concurrencyWire } from '@remora/policy-concurrency/wire';
import { connectionPoolWire } from '@remora/policy-connection-pool/wire';
import { corsWire } from '@remora/policy-cors/wire';
import { errorResponseWire } from '@remora/policy-error-response/wire';
import { externalAuthWire } from '@remora/policy-external-auth/wire';
import { fallbackWire } from '@remora/policy-fallback/wire';
import { faultWire } from '@remora/policy-fault/wire';
import { healthCheckWire } from '@remora/policy-health-check/wire';
import { hedgingWire } from '@remora/policy-hedging/wire';
import { hmacWire } from '@remora/policy-hmac/wire';
import { ipAccessWire } from '@remora/policy-ip-access/wire';
import { jwtWire } from '@remora/policy-jwt/wire';
import { loadBalancingWire } from '@remora/policy-load-balancing/wire';
import { mirrorWire } from '@remora/policy-mirror/wire';
import { mtlsWire } from '@remora/policy-mtls/wire';
import { oidcLoginWire } from '@remora/policy-oidc-login/wire';
import { outlierDetectionWire } from '@remora/policy-outlier-detection/wire';
import { quotaWire } from '@remora/policy-quota/wire';
import { rateLimitWire } from '@remora/policy-rate-limit/wire';
import { requestIdWire } from '@remora/policy-request-id/wire';
import { requestLimitsWire } from '@remora/policy-request-limits/wire';
import { retryWire } from '@remora/policy-retry/wire';
import { securityHeadersWire } from '@remora/policy-security-headers/wire';
import { timeoutWire } from '@remora/policy-timeout/wire';
import { tokenIntrospectionWire } from '@remora/policy-token-introspection/wire';
import { transformWire } from '@remora/policy-transform/wire';

/**
 * Every kind that this sidecar can enforce, by name, as the control thread knows it: it reads settings, and runs none. Filters are loaded in data threads
 * (kinds.ts), where they would otherwise be in memory twice.
 */
export const wireKinds: ReadonlyMap<string, WireKind<unknown>> = new Map([
  register(accessLogWire),
  register(apiKeyWire),
  register(authenticationWire),
  register(authorizationWire),
  register(basicAuthWire),
  register(circuitBreakerWire),
  register(clientCertificateWire),
  register(concurrencyWire),
  register(connectionPoolWire),
  register(corsWire),
  register(errorResponseWire),
  register(externalAuthWire),
  register(fallbackWire),
  register(faultWire),
  register(healthCheckWire),
  register(hedgingWire),
  register(hmacWire),
  register(ipAccessWire),
  register(jwtWire),
  register(loadBalancingWire),
  register(mirrorWire),
  register(mtlsWire),
  register(oidcLoginWire),
  register(outlierDetectionWire),
  register(quotaWire),
  register(rateLimitWire),
  register(requestIdWire),
  register(requestLimitsWire),
  register(retryWire),
  register(securityHeadersWire),
  register(timeoutWire),
  register(tokenIntrospectionWire),
  register(transformWire),
]);

/** Forgets the settings type. */
function register<S>(kind: WireKind<S>): [string, WireKind<unknown>] {
  return [kind.name, kind];
}
