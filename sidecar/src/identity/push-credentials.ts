import { ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '@remora/core/clock';
import { certificatePem } from '@remora/identity/pem';
import { controlPlaneCheck } from './control-plane-check.ts';
import type { HeldIdentity } from './held-identity.ts';

/** Mutual TLS with the control plane: our certificate, its SPIFFE id. */
export function pushCredentials({ key, chain, roots, trustDomain }: HeldIdentity, clock: Pick<Clock, 'wallMs'>): ChannelCredentials {
  const pem = (list: HeldIdentity['chain']): Buffer => Buffer.from(list.map(({ raw }) => certificatePem(raw)).join(''));
  const checkServerIdentity = controlPlaneCheck({ trustDomain, roots, nowMs: () => clock.wallMs() });
  return ChannelCredentials.createSsl(pem(roots), Buffer.from(key.export({ type: 'pkcs8', format: 'pem' })), pem(chain), { checkServerIdentity });
}
