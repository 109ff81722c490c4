import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { accessLogRuntime } from '@remora/policy-access-log/filter';
import { apiKeyRuntime } from '@remora/policy-api-key/filter';
import { authenticationRuntime } from '@remora/policy-authentication/filter';
import { authorizationRuntime } from '@remora/policy-authorization/filter';
import { basicAuthRuntime } from '@remora/policy-basic-auth/filter';
import { circuitBreakerRuntime } from '@remora/policy-circuit-breaker/filter';
import { clientCertificateRuntime } from '@remora/policy-client-certificate/filter';
import { concurrencyRuntime } from '@remora/policy-concurrency/filter';
import { connectionPoolRuntime } from '@remora/policy-connection-pool/filter';
import { corsRuntime } from '@remora/policy-cors/filter';
import { errorResponseRuntime } from '@remora/policy-error-response/filter';
import { externalAuthRuntime } from '@remora/policy-external-auth/filter';
import { fallbackRuntime } from '@remora/policy-fallback/filter';
import { faultRuntime } from '@remora/policy-fault/filter';
import { healthCheckRuntime } from '@remora/policy-health-check/filter';
import { hedgingRuntime } from '@remora/policy-hedging/filter';
import { hmacRuntime } from '@remora/policy-hmac/filter';
import { ipAccessRuntime } from '@remora/policy-ip-access/filter';
import { jwtRuntime } from '@remora/policy-jwt/filter';
import { loadBalancingRuntime } from '@remora/policy-load-balancing/filter';
import { mirrorRuntime } from '@remora/policy-mirror/filter';
import { mtlsRuntime } from '@remora/policy-mtls/filter';
import { oidcLoginRuntime } from '@remora/policy-oidc-login/filter';
import { outlierDetectionRuntime } from '@remora/policy-outlier-detection/filter';
import { quotaRuntime } from '@remora/policy-quota/filter';
import { rateLimitRuntime } from '@remora/policy-rate-limit/filter';
import { requestIdRuntime } from '@remora/policy-request-id/filter';
import { requestLimitsRuntime } from '@remora/policy-request-limits/filter';
import { retryRuntime } from '@remora/policy-retry/filter';
import { securityHeadersRuntime } from '@remora/policy-security-headers/filter';
import { timeoutRuntime } from '@remora/policy-timeout/filter';
import { tokenIntrospectionRuntime } from '@remora/policy-token-introspection/filter';
import { transformRuntime } from '@remora/policy-transform/filter';

/** Every kind that this sidecar can enforce, by name. Their order is in `policy-kit/order.ts`. */
export const runtimeKinds: ReadonlyMap<string, RuntimeKind<unknown>> = new Map([
  register(accessLogRuntime),
  register(apiKeyRuntime),
  register(authenticationRuntime),
  register(authorizationRuntime),
  register(basicAuthRuntime),
  register(circuitBreakerRuntime),
  register(clientCertificateRuntime),
  register(concurrencyRuntime),
  register(connectionPoolRuntime),
  register(corsRuntime),
  register(errorResponseRuntime),
  register(externalAuthRuntime),
  register(fallbackRuntime),
  register(faultRuntime),
  register(healthCheckRuntime),
  register(hedgingRuntime),
  register(hmacRuntime),
  register(ipAccessRuntime),
  register(jwtRuntime),
  register(loadBalancingRuntime),
  register(mirrorRuntime),
  register(mtlsRuntime),
  register(oidcLoginRuntime),
  register(outlierDetectionRuntime),
  register(quotaRuntime),
  register(rateLimitRuntime),
  register(requestIdRuntime),
  register(requestLimitsRuntime),
  register(retryRuntime),
  register(securityHeadersRuntime),
  register(timeoutRuntime),
  register(tokenIntrospectionRuntime),
  register(transformRuntime),
]);

/** Forgets the settings type: `edge` and `layer` are given only what `decode` of the same kind returned. */
function register<S>(kind: RuntimeKind<S>): [string, RuntimeKind<unknown>] {
  return [kind.name, kind];
}
