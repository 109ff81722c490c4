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
      const wire = url.replace(`https://127.0.0.1:${this.#port}`, `http://127.0.0.1:${this.#port}`);
      const response = await fetch(wire, { method: body === null ? 'GET' : 'POST', body, redirect: 'manual', headers: { accept: 'text/html', ...(own.length > 0 && { cookie: own.join('; ') }) } });
      for (const line of response.headers.getSetCookie()) this.#keep(origin, line);
      const location = response.headers.get('location');
      const text = await response.text();
      if (location === null || response.status < 300 || response.status > 399) return { url, status: response.status, text };
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
