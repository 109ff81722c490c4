import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Store } from '../store/store.ts';
import type { ApiCertificate } from './api-certificate.ts';
import type { StartedOperators } from './start-operators.ts';

/** What can happen at the door of the API: a closed set, so that each is there from the start. */
const results = ['ok', 'missing', 'twice', 'not-bearer', 'malformed', 'refused', 'expired', 'revoked', 'locked', 'not-ready', 'forbidden'];

/** What the API's door and the audit log tell Prometheus. Labels come from closed sets. */
export function createOperatorMetrics(registry: Registry, parts: { readonly operators: StartedOperators | null; readonly certificate: ApiCertificate | null; readonly audit: AuditLog; readonly store: Pick<Store, 'audit'> }): void {
  const { operators, certificate, audit, store } = parts;
  const gauge = (name: string, help: string, read: () => number): Gauge => new Gauge({ name, help, registers: [registry], collect() { this.set(read()); } });
  counter(registry, { name: 'remora_api_auth_total', help: 'Requests at the door of the API by what became of them. ok: known. forbidden: known, and not allowed. The others: not known, by reason.', labels: ['result'] }, (add) => {
    for (const result of results) add({ result }, operators?.counts.get(result) ?? 0);
  });
  gauge('remora_api_auth_enabled', '1 where the API asks for tokens, 0 with --api-auth off.', () => (operators ? 1 : 0));
  gauge('remora_api_auth_locked_addresses', 'Addresses that have to wait after failures.', () => operators?.limiter.locked ?? 0);
  gauge('remora_api_auth_remembered_addresses', 'Addresses whose failures are counted; at most 10,000.', () => operators?.limiter.addresses ?? 0);
  counter(registry, { name: 'remora_api_auth_forgotten_addresses_total', help: 'Addresses whose failures were forgotten because there were too many.', labels: [] }, (add) => add({}, operators?.limiter.forgotten ?? 0));
  gauge('remora_api_tokens', 'API tokens that can be used.', () => operators?.tokens.list().filter(({ state }) => state === 'good').length ?? 0);
  gauge('remora_api_first_token_waiting', '1 where the token of the first start has not been used up.', () => (operators?.first.waiting ? 1 : 0));
  gauge('remora_api_issuer_keys_age_seconds', 'Time since the issuer of operators gave its keys; -1 where there is no issuer, or it never did.', () => {
    const ageMs = operators?.oidc?.keys.ageMs ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(ageMs) ? ageMs / 1_000 : -1;
  });
  gauge('remora_api_issuer_problem', '1 where the issuer of operators gives no keys, or its roles cannot be read.', () => (operators?.oidc && (operators.oidc.keys.problem !== '' || operators.oidc.problem() !== '') ? 1 : 0));
  gauge('remora_api_certificate_expiry_timestamp_seconds', 'When the certificate of the API ends; 0 without TLS.', () => (certificate ? certificate.material.endsMs / 1_000 : 0));
  gauge('remora_api_certificate_problem', '1 where the newest certificate of the API cannot be used.', () => (certificate && certificate.problem !== '' ? 1 : 0));
  gauge('remora_audit_head_seq', 'Number of the newest entry of the audit log.', () => store.audit.head().seq);
  gauge('remora_audit_entries', 'Entries of the audit log that are kept.', () => store.audit.count());
  gauge('remora_audit_waiting', 'Notes that wait to be written.', () => audit.waiting());
  counter(registry, { name: 'remora_audit_dropped_total', help: 'Notes that nobody waited for and that were only counted, because too many waited.', labels: [] }, (add) => add({}, audit.dropped()));
  counter(registry, { name: 'remora_audit_failures_total', help: 'Times the disk refused entries of the audit log.', labels: [] }, (add) => add({}, audit.failures()));
}

function counter(registry: Registry, { name, help, labels }: { readonly name: string; readonly help: string; readonly labels: readonly string[] }, collect: (add: (labels: Record<string, string>, value: number) => void) => void): void {
  const metric = new Counter({
    name, help, labelNames: [...labels], registers: [registry],
    collect() {
      this.reset();
      collect((of, value) => this.inc(of, value));
    },
  });
  metric.reset();
}
