import type { TextBuffer } from '@remora/http/byte-text';
import type { Link } from '../io/link.ts';
import { connectionHead } from '../pipeline/connection-head.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { AcceptedConnection } from './accepted-connection.ts';
import type { Served } from './server-codec.ts';
import { ServerTunnel } from './server-tunnel.ts';

/**
 * A client's connection to a port that carries TCP: one exchange with a head made here, from its beginning to its end. Nothing of what the client
 * sends is read before there is somebody to take it, and nothing is waited for: in many protocols the server speaks first.
 */
export class TcpConnection implements Served {
  busy = 1;

  /** `serverName`: what a ClientHello asked for, '' without one. `early`: bytes that were read already, owned. */
  constructor(engine: Engine, peer: AcceptedConnection, link: Link, start: { readonly serverName: string; readonly early: TextBuffer | null }) {
    const transport = engine.transportOf(peer.binding);
    const tunnel = new ServerTunnel(link, engine.thread, {
      early: start.early,
      readEnded: false,
      onGone: () => {
        this.busy = 0;
        peer.closed();
      },
    });
    const run = engine.makeRun(tunnel, peer, connectionHead(transport === 'tls' ? 'tls' : 'tcp', start.serverName));
    tunnel.carry(run);
    engine.startConnection(run, peer);
  }

  /** It goes on until its deadline: nobody can be told to go elsewhere. */
  drain(): void {}
}
