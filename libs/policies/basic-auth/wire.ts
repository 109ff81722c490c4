import { boundedText, decodeMessage } from '@remora/policy-kit/wire-check';
import { BasicAuth } from './gen/basic-auth.ts';
import { basicAuthExpired, basicAuthInvalid, basicAuthOverload, basicAuthWarming } from './reasons.ts';

export interface BasicAuthSettings {
  readonly realm: string;
  readonly forwardCredentials: boolean;
}

export const basicAuthWire = { name: 'basicAuth', format: 1, reasons: [basicAuthInvalid, basicAuthExpired, basicAuthOverload, basicAuthWarming], decode: decodeBasicAuth } as const;

function decodeBasicAuth(bytes: Uint8Array): BasicAuthSettings {
  const { realm, forwardCredentials } = decodeMessage(BasicAuth, bytes);
  return Object.freeze({ realm: boundedText(realm, '/realm', 128, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/), forwardCredentials });
}
