import { request } from 'undici';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

const deadlineMs = 10_000;
const answerBytesMax = 256 * 1024;

/** An answer of a company's issuer: its status, and the JSON of its body. */
export interface IssuerAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Asks an issuer; a form makes it a POST. Redirects are not followed. Throws CommandFailure `unreachable` where no JSON comes. */
export async function askIssuer(url: string, form?: Readonly<Record<string, string>>): Promise<IssuerAnswer> {
  const { protocol, hostname } = new URL(url);
  // RFC 8628 section 3.1, RFC 6749 section 3.1: TLS. Plain HTTP only on this machine, for tests of issuers.
  if (protocol !== 'https:' && !(protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))) throw new CommandFailure(exitCodes.usage, `${url}: an issuer is asked over https:// only`);
  try {
    const signal = AbortSignal.timeout(deadlineMs);
    const answer = await request(url, {
      method: form ? 'POST' : 'GET', signal, headersTimeout: deadlineMs, bodyTimeout: deadlineMs,
      headers: { accept: 'application/json', ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}) },
      ...(form ? { body: new URLSearchParams(form).toString() } : {}),
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > answerBytesMax) throw new RangeError(`the answer is longer than ${answerBytesMax} bytes`);
      chunks.push(chunk);
    }
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new TypeError('the answer is no JSON object');
    return { status: answer.statusCode, body: body as Record<string, unknown> };
  } catch (error) {
    throw new CommandFailure(exitCodes.unreachable, `the issuer at ${new URL(url).origin} gave no answer that can be used: ${(error as Error).message}`, { cause: error });
  }
}

/** A text of an answer; '' where there is none. */
export function textIn({ body }: IssuerAnswer, name: string): string {
  const value = body[name];
  return typeof value === 'string' ? value : '';
}
