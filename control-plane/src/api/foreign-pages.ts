import { isIP } from 'node:net';
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from './problem.ts';

/**
 * Keeps pages that somebody visits on this machine away from an API that trusts the machine. A page of another site may send
 * some requests without asking (its Origin gives it away), and a name of its own may come to lead to 127.0.0.1 (its Host does).
 */
export function refuseForeignPages(headers: IncomingHttpHeaders, { trustsMachine, scheme }: { readonly trustsMachine: boolean; readonly scheme: 'http' | 'https' } = { trustsMachine: true, scheme: 'http' }): void {
  const { host = '', origin } = headers;
  // Who has to show a token cannot be a page that has none: only its name in Host matters no more.
  if (trustsMachine && !isLoopbackHost(hostName(host))) {
    throw new ApiError('foreign-host', `the API answers to localhost and loopback addresses only, not to ${JSON.stringify(host.slice(0, 100))}`);
  }
  if (headers['sec-fetch-site'] === 'cross-site' || (origin !== undefined && origin !== `${scheme}://${host}`)) {
    throw new ApiError('foreign-origin', 'a page of another site may not use this API');
  }
}

export function isLoopbackHost(name: string): boolean {
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Without port and brackets. */
function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host);
  return bracketed?.[1] ?? host.replace(/:\d*$/, '').toLowerCase();
}
