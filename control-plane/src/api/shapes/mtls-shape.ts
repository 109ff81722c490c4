import { z } from 'zod';

const mode = z.enum(['strict', 'permissive', 'disabled']);

/** `GET /v1/services/{name}/mtls`. */
export const mtlsStatusShape = z.object({
  service: z.string(),
  ports: z.array(z.object({ port: z.string(), mode, shadow: z.boolean().describe('In shadow nobody is refused'), mtls: z.number(), plaintext: z.number() })),
  callers: z.array(z.object({
    caller: z.string().describe('`service/web`, `gateway/edge`, or a SPIFFE id of another trust domain'),
    declared: z.boolean().describe('It may call the service, by its documents'),
    instances: z.object({ all: z.number(), withCertificate: z.number() }),
    mtls: z.number().describe('Requests and TCP connections'),
    plaintext: z.number().describe('From addresses where only its sidecars are'),
    lastPlaintextAt: z.string().nullable(),
  })),
  plaintext: z.array(z.object({ address: z.string(), caller: z.string(), port: z.string(), requests: z.number(), lastAt: z.string() })),
  instances: z.object({ all: z.number(), mtls: z.number() }),
});
