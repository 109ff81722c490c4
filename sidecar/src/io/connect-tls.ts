import type net from 'node:net';
import tls from 'node:tls';
import { Link, readInto } from './link.ts';
import type { LinkContext } from './link-context.ts';
import type { LinkOwner } from './link-owner.ts';
import { LinkSecurity } from './link-security.ts';
import { StreamCarrier } from './stream-carrier.ts';
import { handshakeCutFailure, noContextFailure, openClient, protocolFailure, type ClientTlsOptions } from './tls-socket.ts';

/** Opens a connection with TLS; `onConnected` comes when the peer has shown that it is who it should be. */
export function connectTls(address: TlsAddress, options: ClientTlsOptions, context: LinkContext, owner: LinkOwner): Link {
  const dialTls = context.dialTls ?? tls.connect;
  if (options.header !== null) return connectBehind(options.header, address, { options, context, owner, dialTls });
  const link = new Link(context, owner);
  const socket = openClient(address, options, dialTls, { onread: readInto(context.readBuffer, link) });
  const carrier = new StreamCarrier(socket, context.slabs, link);
  carrier.isSecured();
  link.carrier = carrier;
  awaitSecured(link, [socket], options);
  return link;
}

export interface TlsAddress {
  readonly host: string;
  readonly port: number;
}

interface Dialing {
  readonly options: ClientTlsOptions;
  readonly context: LinkContext;
  readonly owner: LinkOwner;
  readonly dialTls: (options: tls.ConnectionOptions) => tls.TLSSocket;
}

/** TLS begins behind a header that goes in the clear. */
function connectBehind(header: Uint8Array, address: TlsAddress, { options, context, owner, dialTls }: Dialing): Link {
  const link = new Link(context, owner);
  const raw = context.dial({ host: address.host, port: address.port, noDelay: true, allowHalfOpen: true });
  const carrier = new StreamCarrier(raw, context.slabs, link);
  link.carrier = carrier;
  raw.once('close', () => {
    if (link.security === null) options.onEnd('failed');
  });
  raw.once('connect', () => {
    raw.write(header);
    const socket = openClient(address, options, dialTls, { socket: raw });
    carrier.goOnWith(socket);
    awaitSecured(link, [socket, raw], options);
  });
  return link;
}

/** `below`: what TLS stands on, where that is a socket of its own. */
function awaitSecured(link: Link, [socket, ...below]: readonly [tls.TLSSocket, ...net.Socket[]], options: ClientTlsOptions): void {
  const security = new LinkSecurity(socket);
  link.security = security;
  let established = false;
  let over = false;
  if (options.context === null) socket.destroy(Object.assign(new Error('no context'), { code: noContextFailure }));
  socket.on('session', options.onSession);
  socket.on('secureConnect', () => {
    over = true;
    established = secured(link, security, options);
  });
  for (const part of [socket, ...below]) {
    part.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
      if (!over && cutCodes.has(code)) link.failure = handshakeCutFailure;
    });
  }
  socket.once('close', () => {
    if (!established) options.onEnd('failed');
  });
}

/** Only of connections that were there: that nobody listens is something else. */
const cutCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** A handshake that this side began has ended well. False: for nothing, the peer does not speak what it must. */
function secured(link: Link, security: LinkSecurity, { required, onEnd }: ClientTlsOptions): boolean {
  const { protocol } = security;
  if (required !== '' && protocol !== required) {
    link.failure = protocolFailure;
    link.destroy();
    return false;
  }
  onEnd(security.resumed ? 'resumed' : 'full');
  link.tell((connected) => connected.onConnected?.(protocol));
  return true;
}
