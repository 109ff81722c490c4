import { request } from 'undici';
import { isAllowedUrl } from './issuer-url.ts';

/** Bounds of one question to an issuer. */
export const issuerFetchLimits = { deadlineMs: 5_000, bytesMax: 512 * 1024 } as const;

/**
 * A JSON object from an issuer: by TLS, within a deadline and a size, from this address and no other (redirects are not followed, and nothing is sent but
 * the question). Throws an Error with a sentence for operators.
 */
export async function fetchIssuerJson(url: string, limits: { readonly deadlineMs: number; readonly bytesMax: number } = issuerFetchLimits): Promise<Readonly<Record<string, unknown>>> {
  if (!isAllowedUrl(url)) throw new Error(`${url}: expected https:// (http:// on this machine only)`);
  const signal = AbortSignal.timeout(limits.deadlineMs);
  try {
    const answer = await request(url, { signal, headers: { accept: 'application/json' }, headersTimeout: limits.deadlineMs, bodyTimeout: limits.deadlineMs });
    if (answer.statusCode !== 200) {
      answer.body.on('error', () => {}).destroy();
      throw new Error(`answered ${answer.statusCode}`);
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limits.bytesMax) throw new Error(`the answer is longer than ${limits.bytesMax} bytes`);
      chunks.push(chunk);
    }
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('the answer is no JSON object');
    return value as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${url}: ${signal.aborted ? `no answer within ${limits.deadlineMs} ms` : (error as Error).message}`, { cause: error });
  }
}
