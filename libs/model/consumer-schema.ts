import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { documentName, labels, named } from './names.ts';

/** A word that an issuer says of whom it vouches for. */
const identitySchema = z.strictObject({
  issuer: named(/^[^\s\p{Cc}]{1,2048}$/u, 'an issuer as its tokens name it, such as https://login.example/realms/shop', 2_048),
  claim: named(/^[^\p{Cc}]{1,256}$/u, 'the name of a claim, such as azp or resource.client; dots lead into objects', 256),
  value: z.string().min(1).max(1_024).meta({ description: 'what the claim says; where it is a list, one of its items' }),
});

/** An API client. Its keys, passwords and secrets are kept beside it, outside revisions. */
export const consumerSchema = z.strictObject({
  kind: z.literal('Consumer'),
  name: documentName(),
  labels: labels().optional(),
  groups: z.array(documentName()).max(documentLimits.groups).optional().meta({ description: 'what authorization and limits can name instead of each consumer' }),
  plan: documentName().optional().meta({ description: 'Plan whose limits hold for it, beside those of policies' }),
  identities: z.array(identitySchema).max(documentLimits.identities).optional().meta({ description: 'tokens that are this consumer\'s: issuer, claim and value' }),
  credentials: z.unknown().superRefine((_, context) => {
    issue(context, 'not-settable', 'credentials are no part of the document: they are made and revoked by `remora consumer key` and its like', 'a Consumer without credentials');
  }).optional(),
}).superRefine(({ groups }, context) => {
  const seen = new Set<string>();
  groups?.forEach((group, at) => {
    if (seen.has(group)) issue(context, 'duplicate', `${group} is there already`, undefined, ['groups', at]);
    seen.add(group);
  });
}, acrossFields('groups')).superRefine(({ identities }, context) => {
  const seen = new Set<string>();
  identities?.forEach((identity, at) => {
    const key = identityKey(identity);
    if (seen.has(key)) issue(context, 'duplicate', 'this identity is there already', undefined, ['identities', at]);
    seen.add(key);
  });
}, acrossFields('identities'));

export type ConsumerDocument = z.infer<typeof consumerSchema>;

/** What tells identities apart; no consumer may have one of another. */
export function identityKey({ issuer, claim, value }: { readonly issuer: string; readonly claim: string; readonly value: string }): string {
  return `${issuer}\n${claim}\n${value}`;
}
