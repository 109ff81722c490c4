import type { GatewayListener } from '@remora/snapshot/snapshot';

/** What a listener asks of whoever connects: '' for nothing, else TLS, and which client certificates. */
export function edgeTerms(edge: GatewayListener | null): string {
  const tls = edge?.tls ?? null;
  if (tls === null) return '';
  return tls.clientAuth === 'none' ? anyClient : `${tls.clientAuth} ${JSON.stringify(tls.clientCaFiles)}`;
}

/** Whether a connection that was made under the one terms is still good under the others. */
export function termsHold(made: string, now: string): boolean {
  return now === made || now === '' || (now === anyClient && made !== '');
}

const anyClient = 'any';
