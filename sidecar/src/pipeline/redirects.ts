import { headerId, makeField } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { EncodedAnswer } from './answer-encoding.ts';
import type { ExchangeRun } from './exchange-run.ts';
import type { RedirectAction } from '../generation/places.ts';
import { rewrittenPath } from './rewrites.ts';

export function makeRedirect(run: ExchangeRun, action: RedirectAction): EncodedAnswer {
  const { head } = run;
  const scheme = action.scheme === '' ? head.scheme : action.scheme;
  const { host, port } = splitAuthority(head.authority);
  // A port that belongs to the old scheme does not go with a new one.
  const shownPort = action.port > 0 ? action.port : action.scheme !== '' && action.scheme !== head.scheme ? 0 : port;
  const path = action.rewrite === null ? head.path : rewrittenPath(run, action.rewrite);
  const query = action.keepQuery && head.hasQuery ? `?${head.query}` : '';
  return redirectTo(`${scheme}://${action.host === '' ? host : action.host}${portText(scheme, shownPort)}${path}${query}`, action.status);
}

/** 308 keeps method and body; browsers that ask with GET get the older 301. */
export function makeHttpsRedirect(run: ExchangeRun, port: number): EncodedAnswer {
  const { head } = run;
  const { host } = splitAuthority(head.authority);
  const status = head.method === 'GET' || head.method === 'HEAD' ? 301 : 308;
  return redirectTo(`https://${host}${portText('https', port)}${head.target}`, status);
}

function redirectTo(location: string, status: number): EncodedAnswer {
  const head = new MessageHead();
  head.status = status;
  head.set(locationHeader, location);
  head.put(originField);
  return { head, body: noBody };
}

function portText(scheme: string, port: number): string {
  return port === 0 || port === (scheme === 'https' ? 443 : 80) ? '' : `:${port}`;
}

function splitAuthority(authority: string): { host: string; port: number } {
  const colon = authority.lastIndexOf(':');
  if (colon < 0 || colon < authority.lastIndexOf(']')) return { host: authority, port: 0 };
  return { host: authority.slice(0, colon), port: Number(authority.slice(colon + 1)) };
}

const locationHeader = headerId('location');
const originField = makeField('x-remora-origin', 'remora');
const noBody = new Uint8Array(0);
