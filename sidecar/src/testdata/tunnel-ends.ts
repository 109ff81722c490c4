import { vi } from 'vitest';
import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { webSocketAccept } from '../io/web-socket-key.ts';
import { GatewayRig, type RigOptions } from './gateway-rig.ts';

/** Tests only: clients and upstreams of tunnels, everything closed after each test by `close`. */
export class TunnelEnds {
  readonly #closers: (() => unknown)[] = [];

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  /** Runs `close` with the others. */
  later(close: () => unknown): void {
    this.#closers.push(close);
  }

  async upstream(behave: (end: WireEnd, nth: number) => unknown): Promise<WireUpstream> {
    const started = await WireUpstream.start(behave);
    this.#closers.push(() => started.close());
    return started;
  }

  async rig(behave: (end: WireEnd, nth: number) => unknown, options: Partial<RigOptions> = {}): Promise<{ rig: GatewayRig; up: WireUpstream }> {
    const up = await this.upstream(behave);
    const rig = await GatewayRig.start({ upstreams: [up.port], ...options });
    this.#closers.push(() => rig.close());
    return { rig, up };
  }

  async client(port: number): Promise<WireEnd> {
    const end = await WireEnd.connect(port);
    this.#closers.push(() => end.close());
    return end;
  }

  /** A client behind its 101, with the upstream's end; what was received before is forgotten. */
  async open(rig: GatewayRig, up: WireUpstream, nth = up.connections.length + 1): Promise<{ end: WireEnd; app: WireEnd }> {
    const end = await this.client(rig.port);
    end.send(upgradeRequest());
    await end.untilText('\r\n\r\n');
    if (!end.text.startsWith('HTTP/1.1 101 ')) throw new Error(end.text);
    const app = await up.connection(nth);
    end.received = end.received.subarray(end.text.indexOf('\r\n\r\n') + 4);
    app.received = app.received.subarray(app.text.indexOf('\r\n\r\n') + 4);
    return { end, app };
  }
}

export const webSocketKey = 'dGhlIHNhbXBsZSBub25jZQ==';

export function upgradeRequest(extra = '', protocol = 'websocket'): string {
  return `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: ${webSocketKey}\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`;
}

export function switchingAnswer(extra = '', protocol = 'websocket'): string {
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${protocol}\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${webSocketAccept(webSocketKey)}\r\n${extra}\r\n`;
}

/** Switches as soon as the request has come, then does nothing. */
export async function switches(end: WireEnd): Promise<void> {
  await end.untilText('\r\n\r\n');
  end.send(switchingAnswer());
}

export interface TunnelsView {
  readonly count: number;
  readonly olderGenerations: number;
  readonly oldest: readonly { readonly protocol: string; readonly bytesIn: number; readonly bytesOut: number; readonly messagesIn: number; readonly messagesOut: number; readonly generationsAgo: number; readonly ageMs: number; readonly destination: string }[];
}

export async function tunnelsOf(rig: GatewayRig): Promise<TunnelsView> {
  const { threads } = (await rig.plane.describe()) as { threads: { tunnels: TunnelsView }[] };
  const [thread] = threads;
  if (thread === undefined) throw new Error('no thread');
  return thread.tunnels;
}

export async function untilTunnels(rig: GatewayRig, count: number): Promise<void> {
  await vi.waitFor(async () => {
    const view = await tunnelsOf(rig);
    if (view.count !== count) throw new Error(`${view.count} tunnels`);
  }, { timeout: 5000, interval: 5 });
}

/** One frame of a WebSocket (RFC 6455 section 5.2). */
export function frame(opcode: number, payload: Uint8Array, { fin = true, mask = false } = {}): Buffer {
  const { length } = payload;
  const head = [(fin ? 0x80 : 0) | opcode];
  const bit = mask ? 0x80 : 0;
  if (length < 126) head.push(bit | length);
  else if (length < 65_536) head.push(bit | 126, length >> 8, length & 255);
  else head.push(bit | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >> 16) & 255, (length >> 8) & 255, length & 255);
  const key = [1, 2, 3, 4];
  if (!mask) return Buffer.concat([Buffer.from(head), payload]);
  return Buffer.concat([Buffer.from([...head, ...key]), payload.map((byte, i) => byte ^ (key[i % 4] ?? 0))]);
}
