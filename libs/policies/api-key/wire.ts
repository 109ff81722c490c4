import type { CredentialPlace } from '@remora/policy-kit/credential-places';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage, oneWord, wireHeaderName } from '@remora/policy-kit/wire-check';
import { ApiKey } from './gen/api-key.ts';
import { apiKeyExpired, apiKeyInvalid, apiKeyWarming } from './reasons.ts';

export interface ApiKeySettings {
  readonly keyFrom: readonly CredentialPlace[];
  readonly forwardKey: boolean;
}

export const apiKeyWire = { name: 'apiKey', format: 1, reasons: [apiKeyInvalid, apiKeyExpired, apiKeyWarming], decode: decodeApiKey } as const;

function decodeApiKey(bytes: Uint8Array): ApiKeySettings {
  const message = decodeMessage(ApiKey, bytes);
  if (message.keyFrom.length === 0) throw new WireError('/keyFrom', 'missing', 'no place to look for keys in');
  const keyFrom = boundedList(message.keyFrom, '/keyFrom', 4).map(({ kind, name }, i): CredentialPlace => {
    const pointer = `/keyFrom/${i}`;
    const place = oneWord(kind, pointer, ['header', 'query', 'cookie']);
    return Object.freeze({ kind: place, name: place === 'header' ? wireHeaderName(name, pointer) : boundedText(name, pointer, 128, /^[!#$%'*+.^_`|~0-9A-Za-z-]+$/) });
  });
  return Object.freeze({ keyFrom: Object.freeze(keyFrom), forwardKey: message.forwardKey });
}
