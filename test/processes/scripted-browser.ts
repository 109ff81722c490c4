import { request } from 'node:http';

/** A page that a scripted browser has come to. */
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly text: string;
}

/** Follows redirects and keeps cookies by host and path as a browser does, as far as a login needs it. `https` to the gateway's port is spoken as plain HTTP: who ends TLS is not the point. */
export class ScriptedBrowser {
  readonly #port: number;
  readonly #cookies = new Map<string, string>();

  constructor(port: number) {
    this.#port = port;
  }

  /** Of the gateway. */
  cookie(name: string): string | null {
    return this.#cookies.get(`https://127.0.0.1:${this.#port} ${name}`) ?? null;
  }

  open(url: string): Promise<Page> {
    return this.#go(url, null);
  }

  /** Fills in the first form of a page. */
  submit({ url, text }: Page, fields: Readonly<Record<string, string>>): Promise<Page> {
    const action = /<form[^>]*\saction="([^"]+)"/.exec(text)?.[1];
    if (action === undefined) throw new Error(`${url} has no form`);
    return this.#go(new URL(action.replaceAll('&amp;', '&'), url).href, new URLSearchParams(fields));
  }

  async #go(start: string, form: URLSearchParams | null): Promise<Page> {
    let [url, body] = [start, form];
    for (let hop = 0; hop < 10; hop++) {
      const { origin } = new URL(url);
      const own = [...this.#cookies].filter(([key]) => key.startsWith(`${origin} `)).map(([key, value]) => `${key.slice(origin.length + 1)}=${value}`);
      const { status, location, cookies, text } = await visit(url.replace(`https://127.0.0.1:${this.#port}`, `http://127.0.0.1:${this.#port}`), body, own.join('; '));
      for (const line of cookies) this.#keep(origin, line);
      if (location === null || status < 300 || status > 399) return { url, status, text };
      url = new URL(location, url).href;
      body = null;
    }
    throw new Error(`${start} goes round in circles`);
  }

  #keep(origin: string, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    const key = `${origin} ${pair.slice(0, equals)}`;
    if (attributes.some((one) => /^max-age=0$/i.test(one))) this.#cookies.delete(key);
    else this.#cookies.set(key, pair.slice(equals + 1));
  }
}

/** One request as a browser makes it for a page that it shows; `fetch` would say that a script asks. */
function visit(url: string, form: URLSearchParams | null, cookie: string): Promise<{ readonly status: number; readonly location: string | null; readonly cookies: readonly string[]; readonly text: string }> {
  const body = form?.toString() ?? '';
  const headers = {
    accept: 'text/html,application/xhtml+xml', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', connection: 'close',
    ...(cookie !== '' && { cookie }), ...(form && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(Buffer.byteLength(body)) }),
  };
  return new Promise((resolve, reject) => {
    request(url, { method: form === null ? 'GET' : 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, location: response.headers.location ?? null, cookies: response.headers['set-cookie'] ?? [], text }));
    }).on('error', reject).end(body);
  });
}
