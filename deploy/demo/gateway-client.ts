import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';

/** An answer as a client of the shop sees it. */
export interface ShopAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly tookMs: number;
}

export interface ShopRequest {
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent;
  readonly timeoutMs?: number;
}

const answerBytesMax = 1024 * 1024;
const requestTimeoutMs = 15_000;

/** One GET to a port of this machine. Rejects when the connection breaks or nothing comes in time. */
export function askShop(question: ShopRequest): Promise<ShopAnswer> {
  const startedAt = performance.now();
  const timeoutMs = question.timeoutMs ?? requestTimeoutMs;
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: question.port, path: question.path, headers: question.headers ?? {}, ...(question.agent === undefined ? {} : { agent: question.agent }) }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > answerBytesMax) asked.destroy(new Error(`the answer is longer than ${answerBytesMax} bytes`));
        else chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        clearTimeout(timer);
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString(), tookMs: performance.now() - startedAt });
      });
    });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    asked.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    asked.end();
  });
}
