import { asText, type TextBuffer } from '@remora/http/byte-text';
import { ClientHelloReader } from '@remora/http/first-bytes/client-hello-reader';
import { namedProtocol, type FirstProtocol } from '@remora/http/first-bytes/first-protocol';
import { readProxyHeader } from '@remora/http/first-bytes/read-proxy-header';
import type { ConnectionFacts } from '@remora/policy-kit/exchange';
import type { GatewayListener, ListenerTls } from '@remora/snapshot/snapshot';
import type { Transport } from '../generation/places.ts';
import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { EventCounter } from '../records/policy-events.ts';
import type { ForwardedFields } from '../pipeline/outside-headers.ts';
import { tcpProtocol } from '../tls/mesh-security.ts';
import { CallerFacts } from './caller-facts.ts';
import { clientHello, firstRequest, handshake, meshHello, proxyHeader, refused, type ConnectionPhase } from './connection-phase.ts';
import { edgeClient } from './edge-client.ts';
import { edgeHandshake } from './edge-handshake.ts';
import { edgeTerms } from './edge-terms.ts';
import { firstByteMs } from './first-byte-ms.ts';
import { handshakeFailure } from './handshake-failure.ts';
import type { HandshakeVerdict } from './handshake-verdict.ts';
import { Http2ServerConnection } from './http2-server-connection.ts';
import type { ListenerBinding } from './listener-binding.ts';
import { meshHandshake } from './mesh-handshake.ts';
import { handshakeRecord, meshHandshakeMs, type MeshTerms } from './mesh-terms.ts';
import { plaintextAnswer } from './plaintext-answer.ts';
import type { Served, ServerCodec } from './server-codec.ts';
import { ServerConnection } from './server-connection.ts';
import type { ServedProtocol, ServerPeer } from './server-peer.ts';
import { TcpConnection } from './tcp-connection.ts';
import { tlsAlerts } from './tls-alerts.ts';

/**
 * A connection that a listener accepted, from its first byte to its end. Its first bytes are looked at in order: the PROXY protocol header
 * and the ClientHello where the listener wants them, then what names the protocol. Until a codec takes over the link it costs little.
 */
export class AcceptedConnection extends WheelNode implements LinkOwner, ServerPeer {
  readonly binding: ListenerBinding;
  protocol: ServedProtocol | '' = '';
  facts: ConnectionFacts;
  factsOf: object | null = null;
  forwarded: ForwardedFields | null = null;
  terms = '';
  outdated = false;
  calls: EventCounter | null = null;
  caller: CallerFacts | null = null;
  certificateOver = false;
  certificateEndsMs = Infinity;
  readonly #engine: Engine;
  #link!: Link;
  #codec: Served | null = null;
  /** What the port carried when the connection came. */
  #transport: Transport = 'http';
  #phase: ConnectionPhase = firstRequest;
  /** First bytes that do not decide yet. */
  #held: TextBuffer | null = null;
  #hello: ClientHelloReader | null = null;
  /** How the listener did TLS when the connection came. */
  #tls: ListenerTls | null = null;
  #edge: GatewayListener | null = null;
  /** How the port took callers of the mesh when the connection came; null: not at all. */
  #mesh: MeshTerms | null = null;
  /** What ALPN chose. */
  #protocol: FirstProtocol = 'undecided';

  constructor(engine: Engine, binding: ListenerBinding, facts: ConnectionFacts) {
    super();
    this.#engine = engine;
    this.binding = binding;
    this.facts = facts;
  }

  attach(link: Link): void {
    this.#link = link;
    const edge = this.#engine.edgeOf(this.binding);
    this.terms = edgeTerms(edge);
    this.#transport = this.#engine.transportOf(this.binding);
    this.#mesh = this.#engine.meshOf(this.binding);
    if (edge !== null) {
      this.#edge = edge;
      this.#tls = edge.tls;
      if (edge.proxyProtocol) this.#phase = proxyHeader;
    }
    if (this.#phase !== proxyHeader && !this.#choosePhase()) return;
    if (this.#phase === proxyHeader && !this.#engine.trusts(this.facts.peerAddress)) {
      this.#engine.count('proxyProtocol_untrusted-peer');
      link.destroy();
      return;
    }
    this.#arm(this.#tls === null ? firstByteMs(this.#transport, this.#mesh, this.#engine.limitsOf(this.binding)) : this.#tls.handshakeTimeoutMs);
  }

  /** What comes first once nothing stands before it. False: nothing is waited for, the connection is carried already. */
  #choosePhase(): boolean {
    if (this.#mesh !== null) {
      this.#phase = meshHello;
      return true;
    }
    if (this.#transport === 'tcp' || (this.#transport === 'tls' && this.binding.spec.side !== 'gateway')) {
      this.#carry('', null);
      return false;
    }
    this.#phase = this.#tls !== null || this.#transport === 'tls' ? clientHello : firstRequest;
    return true;
  }

  /** Bytes that nobody looks into, from here on. `early`: those that were looked at, owned. */
  #carry(serverName: string, early: TextBuffer | null): void {
    this.#engine.thread.wheels.cancel(this);
    this.#hello = null;
    this.#held = null;
    this.#carries(this.#transport === 'tls' ? 'tls' : 'tcp');
    this.#codec = new TcpConnection(this.#engine, this, this.#link, { serverName, early });
  }

  #carries(protocol: ServedProtocol): void {
    this.protocol = protocol;
    const { side } = this.binding.spec;
    this.#engine.count(`connections_total-${side}-${protocol}`);
    this.#engine.count(`connections_active-${side}-${protocol}`);
  }

  #arm(delayMs: number): void {
    this.#engine.thread.wheels.arm(this, delayMs);
  }

  get localAddress(): string {
    return this.#link.localAddress;
  }

  /** Exchanges under way. */
  get busy(): number {
    return this.#codec?.busy ?? 0;
  }

  drain(): void {
    if (this.#codec !== null) this.#codec.drain();
    else this.#arm(drainQuietMs);
  }

  destroy(): void {
    this.#link.destroy();
  }

  /** The codec's last word. */
  closed(): void {
    this.binding.closed(this);
  }

  // --- until the protocol is known --------------------------------------------------------------------------------

  onRead(bytes: TextBuffer, length: number): void {
    this.#look(bytes, 0, length);
  }

  #look(bytes: TextBuffer, from: number, to: number): void {
    switch (this.#phase) {
      case proxyHeader:
        this.#lookForProxyHeader(this.#gather(bytes, from, to));
        return;
      case clientHello:
        this.#lookForHello(bytes, from, to);
        return;
      case meshHello:
        this.#lookForMesh(bytes, from, to);
        return;
      case firstRequest:
        this.#lookForProtocol(this.#gather(bytes, from, to));
        return;
      case handshake:
      case refused:
    }
  }

  /** With what was held; borrowed where nothing was. */
  #gather(bytes: TextBuffer, from: number, to: number): TextBuffer {
    const part = bytes.subarray(from, to);
    return asText(this.#held === null ? part : Buffer.concat([this.#held, part]));
  }

  #lookForProxyHeader(first: TextBuffer): void {
    const read = readProxyHeader(first, first.length);
    switch (read.kind) {
      case 'more':
        this.#hold(first);
        return;
      case 'bad':
        this.#engine.count('proxyProtocol_bad-header');
        this.#refuse(noBytes);
        return;
      case 'header': {
        const { addresses } = read.header;
        if (addresses !== null) this.facts = {
          ...this.facts,
          peerAddress: addresses.sourceAddress, peerPort: addresses.sourcePort, localAddress: addresses.destinationAddress, localPort: addresses.destinationPort,
        };
        this.#engine.count(`proxyProtocol_version-${read.header.version}`);
        this.#held = null;
        if (this.#transport === 'tcp') this.#carry('', read.used < first.length ? asText(Buffer.from(first.subarray(read.used))) : null);
        else if (this.#choosePhase() && read.used < first.length) this.#look(first, read.used, first.length);
      }
    }
  }

  /** Copied where it is borrowed. */
  #hold(first: TextBuffer): void {
    this.#held = this.#held === null ? asText(Buffer.from(first)) : first;
  }

  #lookForProtocol(first: TextBuffer): void {
    const codec = this.#choose(first, first.length);
    if (codec === null) {
      this.#hold(first);
      return;
    }
    this.#held = null;
    this.#carries(codec instanceof Http2ServerConnection ? 'http2' : 'http1');
    this.#codec = codec;
    this.#engine.thread.wheels.cancel(this);
    this.#link.owner = codec;
    codec.attach(this.#link);
    codec.onRead(first, first.length);
  }

  /** Null: more bytes are needed to tell. With TLS the protocol is what ALPN chose. */
  #choose(bytes: TextBuffer, length: number): ServerCodec | null {
    const protocol = this.#protocol === 'undecided' ? namedProtocol(bytes, length) : this.#protocol;
    if (protocol === 'undecided') return null;
    return protocol === 'http2' ? new Http2ServerConnection(this.#engine, this) : new ServerConnection(this.#engine, this);
  }

  // --- TLS --------------------------------------------------------------------------------------------------------

  #lookForHello(bytes: TextBuffer, from: number, to: number): void {
    const hello = this.#hello ??= new ClientHelloReader();
    switch (hello.feed(bytes, from, to)) {
      case 'more':
        return;
      case 'not-tls':
        // A person with http:// in the address line gets a word instead of a broken connection.
        this.#refuseHandshake('not-tls', this.#tls !== null && namedProtocol(hello.raw, hello.raw.length) === 'http1' ? plaintextAnswer : noBytes);
        return;
      case 'bad':
        this.#refuseHandshake('bad-hello', tlsAlerts.decodeError);
        return;
      case 'hello':
        this.#answerHello(hello);
    }
  }

  #answerHello({ hello, raw }: ClientHelloReader): void {
    if (hello === null) return;
    const { serverName } = hello;
    const [edge, tls] = [this.#edge, this.#tls];
    // What cannot be read must not be taken for any policy (security.md 3.5).
    if (serverName.kind === 'unreadable') {
      this.#refuseHandshake('server-name', tlsAlerts.unrecognizedName);
      return;
    }
    const host = serverName.kind === 'host' ? serverName.host : '';
    if (this.#transport === 'tls') {
      this.facts = { ...this.facts, serverName: host };
      this.#carry(host, asText(raw));
      return;
    }
    if (edge === null || tls === null) return;
    this.#proceed(edgeHandshake(this.#engine.tls, { edge, tls, host, underWay: this.binding.handshakes }), raw, host);
  }

  #proceed(verdict: HandshakeVerdict, raw: Uint8Array, serverName: string): void {
    if (!verdict.ok) {
      this.#refuseHandshake(verdict.why, verdict.last);
      return;
    }
    this.facts = { ...this.facts, tls: true, serverName };
    this.#phase = handshake;
    this.#hello = null;
    this.binding.handshakes++;
    this.#link.secure(raw, verdict.options);
  }

  // --- callers of the mesh ----------------------------------------------------------------------------------------

  #lookForMesh(bytes: TextBuffer, from: number, to: number): void {
    if (this.#hello === null && bytes[from] !== handshakeRecord) {
      this.#withoutMesh(asText(bytes.subarray(from, to)), false);
      return;
    }
    const hello = this.#hello ??= new ClientHelloReader();
    switch (hello.feed(bytes, from, to)) {
      case 'more':
        this.#arm(meshHandshakeMs);
        return;
      case 'not-tls':
        this.#withoutMesh(asText(hello.raw), true);
        return;
      case 'bad':
        // Its first bytes may mean something to an app that speaks no HTTP.
        if (this.#transport === 'http') this.#refuseHandshake('bad-hello', tlsAlerts.decodeError);
        else this.#withoutMesh(asText(hello.raw), true);
        return;
      case 'hello':
        this.#answerMesh(hello);
    }
  }

  /** Plaintext, or the app's own TLS. */
  #withoutMesh(first: TextBuffer, own: boolean): void {
    this.#hello = null;
    if (this.#transport !== 'http') {
      this.#carry('', asText(own ? first : Buffer.from(first)));
      return;
    }
    this.#phase = firstRequest;
    this.#lookForProtocol(first);
  }

  #answerMesh({ hello, raw }: ClientHelloReader): void {
    const mesh = this.#mesh;
    if (hello === null || mesh === null) return;
    const requests = this.#transport === 'http';
    if (!requests && !hello.protocols.includes(tcpProtocol)) {
      this.#withoutMesh(asText(raw), true);
      return;
    }
    this.#arm(meshHandshakeMs);
    const nowMs = this.#engine.thread.clock.wallMs();
    this.#proceed(meshHandshake(this.#engine.mesh, { trustDomains: mesh.trustDomains, requests, underWay: this.binding.handshakes, nowMs }), raw, this.facts.serverName);
  }

  /** False: the certificate that the caller showed does not count, the connection is gone. */
  #identifyCaller({ trustDomains }: MeshTerms): boolean {
    const { security } = this.#link;
    const { mesh, thread } = this.#engine;
    const result = security === null ? null : mesh.peerOf(security, trustDomains, thread.clock.wallMs());
    if (result === null) return true;
    if (!result.ok) return this.#turnAway(result.code);
    this.caller = new CallerFacts(result.peer, mesh.identity.own?.spiffeId ?? '');
    this.certificateEndsMs = result.peer.endsMs;
    this.facts = { ...this.facts, principal: result.peer.spiffeId };
    return true;
  }

  // --- behind a handshake -----------------------------------------------------------------------------------------

  onSecured(): void {
    this.binding.handshakes--;
    this.#phase = firstRequest;
    const { security: tls } = this.#link;
    this.#engine.count(`tls_${tls?.resumed === true ? 'resumed' : 'full'}-${tls?.version ?? ''}`);
    if (!(this.#mesh === null ? this.#identify() : this.#identifyCaller(this.#mesh))) return;
    if (this.#transport !== 'http') {
      this.#carry('', null);
      return;
    }
    this.#protocol = tls?.protocol === 'h2' ? 'http2' : 'http1';
    this.#arm(firstByteMs(this.#transport, this.#mesh, this.#engine.limitsOf(this.binding)));
  }

  /** False: the client's certificate is not accepted, the connection is gone. */
  #identify(): boolean {
    if (this.#tls === null) return true;
    const { mesh: { identity }, thread } = this.#engine;
    const client = edgeClient(this.#link.security, this.#tls.clientAuth, { identity, nowMs: thread.clock.wallMs() });
    if (client === null) return true;
    if (!client.ok) return this.#turnAway(client.code);
    const { principal, certificate } = client;
    this.facts = { ...this.facts, principal, ...(certificate && { clientCertificate: certificate }) };
    return true;
  }

  #turnAway(code: string): false {
    this.#engine.count(`tls_refused-${code}`);
    this.#phase = refused;
    this.#link.destroy();
    return false;
  }

  #refuseHandshake(why: string, last: Uint8Array): void {
    this.#engine.count(`tls_refused-${why}`);
    this.#refuse(last);
  }

  /** Says a last word, and closes: after a moment, so that the word arrives where the client still sends. */
  #refuse(last: Uint8Array): void {
    this.#phase = refused;
    this.#held = null;
    this.#hello = null;
    if (last.length === 0) {
      this.#link.destroy();
      return;
    }
    this.#link.send(last, 0, last.length);
    this.#link.end();
    this.#arm(lastWordMs);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  onEnd(): void {
    this.#link.destroy();
  }

  onDrain(): void {}

  onClosed(): void {
    this.#engine.thread.wheels.cancel(this);
    if (this.#phase === handshake) {
      this.binding.handshakes--;
      this.#engine.count(`tls_refused-${handshakeFailure(this.#link.failure)}`);
    }
    this.closed();
  }

  /** Nothing, or too little, came in time. */
  fire(): void {
    if (this.#phase === meshHello && this.#transport !== 'http' && this.#hello === null) {
      // Nothing was said: the server may have to begin. Whether it may come so is for the policies.
      this.#carry('', null);
      this.#engine.thread.turn.end();
      return;
    }
    if (this.#phase === handshake || this.#phase === clientHello) this.#link.failure = timedOut;
    if (this.#phase === clientHello && this.#hello !== null) this.#engine.count('tls_refused-timeout');
    this.#link.destroy();
  }
}

const drainQuietMs = 500;
const lastWordMs = 500;
const noBytes = new Uint8Array(0);
const timedOut = 'ETIMEDOUT';
