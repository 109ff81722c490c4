import type { Clock } from '@remora/core/clock';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ControlPlaneIdentity } from './control-plane-identity.ts';

/** What identity tells Prometheus. Labels come from closed sets. */
export function createIdentityMetrics(registry: Registry, identity: ControlPlaneIdentity, clock: Clock): void {
  const gauge = (name: string, help: string, read: () => number): Gauge => new Gauge({ name, help, registers: [registry], collect() { this.set(read()); } });
  counts(registry, { name: 'remora_identity_issued_total', help: 'Certificates issued to sidecars.', label: 'how' }, () => identity.enrolment.counts.issued);
  counts(registry, { name: 'remora_identity_refused_total', help: 'Requests for certificates that were refused, by reason.', label: 'reason' }, () => identity.enrolment.counts.refused);
  counts(registry, { name: 'remora_identity_peers_refused_total', help: 'Peers on the push port whose certificate does not allow what they claim, by reason.', label: 'reason' }, () => identity.peersRefused);
  gauge('remora_identity_nodes', 'Instances whose certificates are kept in the record.', () => identity.nodes.size);
  gauge('remora_identity_tokens', 'Join tokens that can be used.', () => identity.tokens.list().filter(({ state }) => state === 'good').length);
  gauge('remora_identity_revocations', 'Instances and services whose certificates are revoked.', () => identity.revocations.list().length);
  gauge('remora_identity_roots', 'Roots that count; two or more while the authority rolls.', () => identity.keeper.authority.roots.length);
  gauge('remora_identity_rotation_stage', 'Stage of a roll of the authority: 0 none, 1 add, 2 sign.', () => ({ none: 0, add: 1, sign: 2 })[identity.keeper.rotation?.stage ?? 'none']);
  gauge('remora_identity_rotation_since_timestamp_seconds', 'When its stage began; 0 where nothing rolls.', () => (identity.keeper.rotation?.changedMs ?? 0) / 1_000);
  gauge('remora_identity_rotation_laggards', 'Instances that stand in the way of the next stage; 0 where nothing rolls.', () => (identity.keeper.rotation ? identity.rotation.status().laggardCount : 0));
  gauge('remora_identity_ca_expiry_timestamp_seconds', 'When the first certificate of the authority ends.', () => identity.authorityStatus().endsMs / 1_000);
  gauge('remora_identity_ca_age_seconds', 'Age of the certificate that signs.', () => Math.max(0, (clock.wallMs() - identity.keeper.authority.issuer.validFromDate.getTime()) / 1_000));
  gauge('remora_identity_server_certificate_expiry_timestamp_seconds', 'When the control plane\'s own certificate ends.', () => identity.server.material.endsMs / 1_000);
  gauge('remora_identity_keys_encrypted', '1 where the key of the authority is encrypted at rest, or not kept by us.', () => (identity.keeper.encrypted ? 1 : 0));
  gauge('remora_identity_problem', '1 where the authority has a problem that `remora ca show` tells.', () => (identity.keeper.problem === '' ? 0 : 1));
}

function counts(registry: Registry, { name, help, label }: { readonly name: string; readonly help: string; readonly label: string }, read: () => ReadonlyMap<string, number>): void {
  const metric = new Counter({
    name, help, labelNames: [label], registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of read()) this.inc({ [label]: value }, count);
    },
  });
  metric.reset();
}
