import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import { accessLogWire } from '@remora/policy-access-log/wire';
import { apiKeyAuthoring } from '@remora/policy-api-key/compile';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { authorizationAuthoring } from '@remora/policy-authorization/compile';
import { basicAuthAuthoring } from '@remora/policy-basic-auth/compile';
import { circuitBreakerAuthoring } from '@remora/policy-circuit-breaker/compile';
import { clientCertificateAuthoring } from '@remora/policy-client-certificate/compile';
import { concurrencyAuthoring } from '@remora/policy-concurrency/compile';
import { connectionPoolAuthoring } from '@remora/policy-connection-pool/compile';
import { corsAuthoring } from '@remora/policy-cors/compile';
import { apiKeyWire } from '@remora/policy-api-key/wire';
import { authenticationWire } from '@remora/policy-authentication/wire';
import { authorizationWire } from '@remora/policy-authorization/wire';
import { basicAuthWire } from '@remora/policy-basic-auth/wire';
import { circuitBreakerWire } from '@remora/policy-circuit-breaker/wire';
import { clientCertificateWire } from '@remora/policy-client-certificate/wire';
import { concurrencyWire } from '@remora/policy-concurrency/wire';
import { connectionPoolWire } from '@remora/policy-connection-pool/wire';
import { corsWire } from '@remora/policy-cors/wire';
import { errorResponseAuthoring } from '@remora/policy-error-response/compile';
import { errorResponseWire } from '@remora/policy-error-response/wire';
import { externalAuthAuthoring } from '@remora/policy-external-auth/compile';
import { fallbackAuthoring } from '@remora/policy-fallback/compile';
import { faultAuthoring } from '@remora/policy-fault/compile';
import { externalAuthWire } from '@remora/policy-external-auth/wire';
import { fallbackWire } from '@remora/policy-fallback/wire';
import { faultWire } from '@remora/policy-fault/wire';
import { healthCheckAuthoring } from '@remora/policy-health-check/compile';
import { hedgingAuthoring } from '@remora/policy-hedging/compile';
import { hmacAuthoring } from '@remora/policy-hmac/compile';
import { ipAccessAuthoring } from '@remora/policy-ip-access/compile';
import { healthCheckWire } from '@remora/policy-health-check/wire';
import { hedgingWire } from '@remora/policy-hedging/wire';
import { hmacWire } from '@remora/policy-hmac/wire';
import { ipAccessWire } from '@remora/policy-ip-access/wire';
import { jwtAuthoring } from '@remora/policy-jwt/compile';
import { loadBalancingAuthoring } from '@remora/policy-load-balancing/compile';
import { mirrorAuthoring } from '@remora/policy-mirror/compile';
import { mtlsAuthoring } from '@remora/policy-mtls/compile';
import { oidcLoginAuthoring } from '@remora/policy-oidc-login/compile';
import { outlierDetectionAuthoring } from '@remora/policy-outlier-detection/compile';
import { quotaAuthoring } from '@remora/policy-quota/compile';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { jwtWire } from '@remora/policy-jwt/wire';
import { loadBalancingWire } from '@remora/policy-load-balancing/wire';
import { mirrorWire } from '@remora/policy-mirror/wire';
import { mtlsWire } from '@remora/policy-mtls/wire';
import { oidcLoginWire } from '@remora/policy-oidc-login/wire';
import { outlierDetectionWire } from '@remora/policy-outlier-detection/wire';
import { quotaWire } from '@remora/policy-quota/wire';
import { rateLimitWire } from '@remora/policy-rate-limit/wire';
import { requestIdAuthoring } from '@remora/policy-request-id/compile';
import { requestIdWire } from '@remora/policy-request-id/wire';
import { requestLimitsAuthoring } from '@remora/policy-request-limits/compile';
import { requestLimitsWire } from '@remora/policy-request-limits/wire';
import { retryAuthoring } from '@remora/policy-retry/compile';
import { retryWire } from '@remora/policy-retry/wire';
import { securityHeadersAuthoring } from '@remora/policy-security-headers/compile';
import { securityHeadersWire } from '@remora/policy-security-headers/wire';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { timeoutWire } from '@remora/policy-timeout/wire';
import { tokenIntrospectionAuthoring } from '@remora/policy-token-introspection/compile';
import { transformAuthoring } from '@remora/policy-transform/compile';
import { tokenIntrospectionWire } from '@remora/policy-token-introspection/wire';
import { transformWire } from '@remora/policy-transform/wire';

/** Every kind that this control plane can validate and compile, by name. Their order is in `policy-kit/order.ts`. */
export const authoringKinds: ReadonlyMap<string, AuthoringKind> = byName([
  accessLogAuthoring,
  apiKeyAuthoring,
  authenticationAuthoring,
  authorizationAuthoring,
  basicAuthAuthoring,
  circuitBreakerAuthoring,
  clientCertificateAuthoring,
  concurrencyAuthoring,
  connectionPoolAuthoring,
  corsAuthoring,
  errorResponseAuthoring,
  externalAuthAuthoring,
  fallbackAuthoring,
  faultAuthoring,
  healthCheckAuthoring,
  hedgingAuthoring,
  hmacAuthoring,
  ipAccessAuthoring,
  jwtAuthoring,
  loadBalancingAuthoring,
  mirrorAuthoring,
  mtlsAuthoring,
  oidcLoginAuthoring,
  outlierDetectionAuthoring,
  quotaAuthoring,
  rateLimitAuthoring,
  requestIdAuthoring,
  requestLimitsAuthoring,
  retryAuthoring,
  securityHeadersAuthoring,
  timeoutAuthoring,
  tokenIntrospectionAuthoring,
  transformAuthoring,
]);

/** The sidecar's own decoders: what is about to be pushed is read with them first. */
export const wireKinds: ReadonlyMap<string, WireKind<unknown>> = byName<WireKind<unknown>>([
  accessLogWire,
  apiKeyWire,
  authenticationWire,
  authorizationWire,
  basicAuthWire,
  circuitBreakerWire,
  clientCertificateWire,
  concurrencyWire,
  connectionPoolWire,
  corsWire,
  errorResponseWire,
  externalAuthWire,
  fallbackWire,
  faultWire,
  healthCheckWire,
  hedgingWire,
  hmacWire,
  ipAccessWire,
  jwtWire,
  loadBalancingWire,
  mirrorWire,
  mtlsWire,
  oidcLoginWire,
  outlierDetectionWire,
  quotaWire,
  rateLimitWire,
  requestIdWire,
  requestLimitsWire,
  retryWire,
  securityHeadersWire,
  timeoutWire,
  tokenIntrospectionWire,
  transformWire,
]);

function byName<K extends { readonly name: string }>(kinds: readonly K[]): ReadonlyMap<string, K> {
  return new Map(kinds.map((kind) => [kind.name, kind]));
}
