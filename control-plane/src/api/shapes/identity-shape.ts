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

export const nodeCertificateListShape = shape('NodeCertificateList', z.object({ items: z.array(nodeCertificateShape), next: z.string().nullable(), total: z.int() }));
