import { readEntryMatch, type EntryMatch } from '@remora/policy-kit/entry-match';
import { credentialKinds, type CredentialKind } from '@remora/policy-kit/request-identity';
import { boundedList, boundedText, decodeMessage, oneWord } from '@remora/policy-kit/wire-check';
import { Authentication, type Exemption } from './gen/authentication.ts';
import { authenticationRequired, consumerUnmapped } from './reasons.ts';

export interface AuthenticationSettings {
  /** Null: nothing is looked for and nothing required, so that there is nothing to decide. */
  readonly require: Requirement | null;
  readonly refuseUnmapped: boolean;
  /** '' for none. */
  readonly anonymous: string;
  readonly exempt: readonly { readonly name: string; readonly match: EntryMatch }[];
}

export interface Requirement {
  /** One is enough; else all are needed. */
  readonly any: boolean;
  readonly kinds: readonly CredentialKind[];
  /** `/require/any`, `/require/all`; `` where no policy says it. */
  readonly pointer: string;
}

export const exemptionsMax = 64;

export const authenticationWire = { name: 'authentication', format: 2, reasons: [authenticationRequired, consumerUnmapped], decode: decodeAuthentication } as const;

function decodeAuthentication(bytes: Uint8Array): AuthenticationSettings {
  const message = decodeMessage(Authentication, bytes);
  return Object.freeze({
    require: readRequirement(message),
    refuseUnmapped: message.refuseUnmapped,
    anonymous: boundedText(message.anonymous, '/anonymous', 63, /^[a-z0-9-]*$/),
    exempt: Object.freeze(boundedList(message.exempt, '/exempt', exemptionsMax).map(readExemption)),
  });
}

function readRequirement({ any, all, inEffect }: Authentication): Requirement | null {
  if (all.length > 0) return { any: false, kinds: readKinds(all, '/require/all'), pointer: '/require/all' };
  if (any.length > 0) return { any: true, kinds: readKinds(any, '/require/any'), pointer: '/require/any' };
  return inEffect.length === 0 ? null : { any: true, kinds: readKinds(inEffect, ''), pointer: '' };
}

function readKinds(list: readonly string[], pointer: string): readonly CredentialKind[] {
  return Object.freeze(boundedList(list, pointer, credentialKinds.length).map((kind) => oneWord(kind, pointer, credentialKinds)));
}

function readExemption({ name, match }: Exemption): { readonly name: string; readonly match: EntryMatch } {
  boundedText(name, '/exempt', 63, /^[A-Za-z][A-Za-z0-9_-]*$/);
  return Object.freeze({ name, match: readEntryMatch(match, `/exempt/${name}`) });
}
