/**
 * This workload's own certificate, as data threads get it: fact kind `identity`, name `own`. The key travels between the threads of one process only;
 * the body is never logged, dumped or sent.
 */
export interface WorkloadFacts {
  /** PKCS #8, DER. */
  readonly key: Uint8Array;
  /** DER, leaf first, without roots. */
  readonly chain: readonly Uint8Array[];
  readonly spiffeId: string;
  readonly trustDomain: string;
}

/** Where the facts are found (libs/policy-kit/facts.ts). */
export const workloadFact = { kind: 'identity', name: 'own' } as const;

const bytesMax = 256 * 1024;

export function encodeWorkload({ key, chain, spiffeId, trustDomain }: WorkloadFacts): Uint8Array {
  return Buffer.from(JSON.stringify({ key: base64(key), chain: chain.map((one) => base64(one)), spiffeId, trustDomain }));
}

/** null where it cannot be read. Whether the parts fit each other was checked before they were encoded. */
export function decodeWorkload(body: Uint8Array): WorkloadFacts | null {
  const read = readJson(body, bytesMax);
  if (read === null) return null;
  const { key, chain, spiffeId, trustDomain } = read;
  if (typeof key !== 'string' || typeof spiffeId !== 'string' || typeof trustDomain !== 'string' || !isTexts(chain) || chain.length === 0) return null;
  return { key: Buffer.from(key, 'base64'), chain: chain.map((one) => Buffer.from(one, 'base64')), spiffeId, trustDomain };
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** A JSON object of at most so many bytes; null for anything else. */
export function readJson(body: Uint8Array, bytesMost: number): Readonly<Record<string, unknown>> | null {
  if (body.length > bytesMost) return null;
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
