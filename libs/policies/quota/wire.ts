import { decodeMessage, oneWord } from '@remora/policy-kit/wire-check';
import { Quota } from './gen/quota.ts';
import { quotaExceeded, quotaStoreUnavailable } from './reasons.ts';

const storeFailures = ['degrade', 'open', 'closed'] as const;

export interface QuotaSettings {
  readonly headers: boolean;
  readonly onStoreFailure: (typeof storeFailures)[number];
}

export const quotaWire = { name: 'quota', format: 1, reasons: [quotaExceeded, quotaStoreUnavailable], decode: decodeQuota } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeQuota(bytes: Uint8Array): QuotaSettings {
  const { withoutHeaders, onStoreFailure } = decodeMessage(Quota, bytes);
  return Object.freeze({ headers: !withoutHeaders, onStoreFailure: oneWord(onStoreFailure, '/onStoreFailure', storeFailures) });
}
