import { z } from 'zod';
import { shape } from './shape.ts';
import { subjectKeyShape } from './version-shape.ts';

export const joinTokenShape = shape('JoinToken', z.object({
  id: z.string(),
  subject: subjectKeyShape,
  state: z.enum(['good', 'expired', 'used-up', 'revoked']),
  createdAt: z.string(),
  expiresAt: z.string(),
  author: z.string(),
  uses: z.int().describe('Instances that may join with it'),
  used: z.int(),
}));

export const newJoinTokenShape = shape('NewJoinToken', z.object({
  token: z.string().describe('The whole token. It is in no other answer, ever'),
  status: joinTokenShape,
}));

export const joinTokenListShape = shape('JoinTokenList', z.object({ items: z.array(joinTokenShape), next: z.string().nullable(), total: z.int() }));

export const certificateShape = shape('Certificate', z.object({
  subject: z.string(),
  issuer: z.string(),
  serial: z.string(),
  fingerprint: z.string().describe('SHA-256'),
  pin: z.string().describe('The same as join tokens carry it: base64url'),
  from: z.string(),
  ends: z.string(),
  pem: z.string(),
}));

export const authorityShape = shape('CertificateAuthority', z.object({
  trustDomain: z.string(),
  source: z.enum(['generated', 'files']),
  encrypted: z.boolean().describe('Whether its key is encrypted at rest, or not kept here'),
  issuer: certificateShape,
  roots: z.array(certificateShape),
  ends: z.string().describe('When the first of its certificates ends: nothing it issues is good for longer'),
  nodes: z.int().describe('Instances with a certificate that is good or can be renewed'),
  problem: z.string().nullable(),
}));

export const nodeCertificateShape = shape('NodeCertificate', z.object({
  nodeId: z.string(),
  subject: subjectKeyShape,
  how: z.enum(['join', 'renew', 'recover']),
  serial: z.string(),
  issuedAt: z.string(),
  ends: z.string(),
  recoverUntil: z.string().describe('Until then it can be renewed, although it ended'),
  token: z.string().describe('Id of the join token it came with first'),
}));

export const rotationShape = shape('CertificateAuthorityRotation', z.object({
  stage: z.enum(['none', 'add', 'sign']).describe('add: the next root counts beside the one that signs; sign: the next one signs, and the one before counts on'),
  startedAt: z.string().nullable(),
  changedAt: z.string().nullable(),
  window: z.string().describe('Over which time sidecars spread their renewals'),
  total: z.int().describe('Instances whose certificate is good'),
  holdBundle: z.int().describe('Of them, those that acknowledged the roots that count now'),
  ofSigner: z.int().describe('Of them, those with a certificate under the root that signs now'),
  laggards: z.array(z.object({ nodeId: z.string(), subject: subjectKeyShape, connected: z.boolean(), lastSeen: z.string(), lacks: z.enum(['bundle', 'certificate']) })).describe('Who stands in the way, at most 1,000'),
  laggardCount: z.int(),
  oldTokens: z.int().describe('Join tokens that name only the root that goes: they let nobody in after it'),
  signs: z.string().describe('SHA-256 of the root that signs'),
  roots: z.array(z.string()).describe('SHA-256 of every root that counts'),
}));

export const revocationShape = shape('Revocation', z.object({
  id: z.string(),
  subject: subjectKeyShape,
  nodeId: z.string().nullable().describe('null: every instance'),
  reason: z.string(),
  author: z.string(),
  revokedAt: z.string().describe('Certificates issued until then are revoked'),
  ends: z.string().describe('When the last of them has ended'),
}));

export const revocationListShape = shape('RevocationList', z.object({ items: z.array(revocationShape), next: z.string().nullable(), total: z.int() }));

export const nodeCertificateListShape = shape('NodeCertificateList', z.object({ items: z.array(nodeCertificateShape), next: z.string().nullable(), total: z.int() }));
