import type net from 'node:net';
import type tls from 'node:tls';
import { allocateText, type TextBuffer } from '@remora/http/byte-text';
import type { OutputSlabs } from './output-slabs.ts';
import type { Turn } from './turn.ts';

/** What the links of a thread share. */
export interface LinkContext {
  /** Opens a connection; replaced where there is no network. */
  readonly dial: (options: net.NetConnectOpts) => net.Socket;
  /** The same with TLS; `tls.connect` where it is not given. */
  readonly dialTls?: (options: tls.ConnectionOptions) => tls.TLSSocket;
  readonly turn: Turn;
  readonly slabs: OutputSlabs;
  /** Every socket of the thread reads into it; it is valid during the callback only. */
  readonly readBuffer: TextBuffer;
}

export function makeReadBuffer(): TextBuffer {
  return allocateText(readBufferBytes);
}

const readBufferBytes = 64 * 1024;
