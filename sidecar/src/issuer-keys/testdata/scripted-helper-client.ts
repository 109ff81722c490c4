import type { HelperAnswer, HelperClient, HelperRequest } from '../../helpers/helper-client.ts';

/** Answers helper requests as a test says, by address; what is asked is kept. */
export class ScriptedHelperClient implements HelperClient {
  readonly asked: HelperRequest[] = [];
  readonly answers = new Map<string, HelperAnswer | Promise<HelperAnswer>>();
  closed = false;

  async request(request: HelperRequest): Promise<HelperAnswer> {
    this.asked.push(request);
    return this.answers.get(request.url) ?? { ok: false, code: 'connect', message: 'ECONNREFUSED' };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** 200 with JSON. */
  json(url: string, body: unknown, headers: Readonly<Record<string, string>> = {}, status = 200): void {
    this.answers.set(url, { ok: true, status, headers, body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) });
  }

  fail(url: string, code: Extract<HelperAnswer, { ok: false }>['code']): void {
    this.answers.set(url, { ok: false, code, message: `it is ${code}` });
  }

  /** Addresses asked since the last call. */
  take(): string[] {
    return this.asked.splice(0).map(({ url }) => url);
  }
}
