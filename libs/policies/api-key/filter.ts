import { makeField } from '@remora/http/header-ids';
import { ambiguousCredential, createCredentialReader, createCredentialRemover } from '@remora/policy-kit/credential-places';
import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { keyLengthMax, KnownKeys } from './known-keys.ts';
import { apiKeyExpired, apiKeyInvalid, apiKeyWarming } from './reasons.ts';
import { apiKeyWire, type ApiKeySettings } from './wire.ts';

/** Finds whose API key a request shows, and takes it out. Refuses nothing by itself: `authentication` decides over what it found. */
export const apiKeyRuntime: RuntimeKind<ApiKeySettings> = {
  ...apiKeyWire,
  side: 'provider',
  edge: createFilter,
};

/** What a client without a key is told. */
const challenge = 'ApiKey';

function createFilter(settings: ApiKeySettings, context: FilterContext): EdgeFilter {
  const keys = KnownKeys.over(context.facts('consumers'));
  const read = createCredentialReader(settings.keyFrom, '/keyFrom');
  const remove = settings.forwardKey ? null : createCredentialRemover(settings.keyFrom);
  const refusals = createRefusals(context);
  const accepted = context.counter('apiKey_accepted');
  const failed = context.counter('apiKey_failed');
  const fail = (identity: RequestIdentity, refusal: Answer): null => {
    identity.fails('apiKey', refusal);
    failed();
    return null;
  };
  return {
    kind: 'apiKey',
    request(x: Exchange) {
      const identity = (x.identity ??= new RequestIdentity());
      identity.looks('apiKey');
      const key = read(x);
      if (key === null) {
        identity.challenge(challenge);
        return null;
      }
      if (remove !== null) remove(x.head);
      if (key === ambiguousCredential) return fail(identity, refusals.ambiguous);
      const known = key.length > keyLengthMax ? null : keys.find(key);
      if (known === null) return fail(identity, refusals.invalid);
      if (known === 'warming') return fail(identity, refusals.warming);
      if (known.credential.expiresMs <= x.startedWallMs) return fail(identity, refusals.expired);
      accepted();
      identity.finds('apiKey', known.found);
      return null;
    },
  };
}

function createRefusals(context: FilterContext): Readonly<Record<'ambiguous' | 'invalid' | 'expired' | 'warming', Answer>> {
  const again = [makeField('www-authenticate', challenge)];
  return {
    ambiguous: context.refuse(apiKeyInvalid, '/keyFrom', 'more than one key', again),
    invalid: context.refuse(apiKeyInvalid, '', 'nobody has this key', again),
    expired: context.refuse(apiKeyExpired, '', 'the key is past its end', again),
    warming: context.refuse(apiKeyWarming, '', 'no consumers have come from the control plane yet', [makeField('retry-after', '1')]),
  };
}
