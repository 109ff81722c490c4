import type { SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { SidecarSession } from './sidecar-session.ts';
import type { SidecarStream, SidecarStreamHandler, StreamError } from './sidecar-stream.ts';

/** What a connection needs of its hub. */
export interface ConnectionOwner {
  nowMs(): number;
  /** Greets; sets `session` where it is admitted. */
  admit(connection: SyncConnection, hello: Extract<NonNullable<SidecarMessage['body']>, { $case: 'hello' }>['value']): void;
  leaving(connection: SyncConnection, session: SidecarSession, deadlineMs: number): void;
  /** The stream is over, from either side. Called once. */
  ended(connection: SyncConnection): void;
}

/** One Sync stream from its first byte to its end; it has a session from Hello on. */
export class SyncConnection implements SidecarStreamHandler {
  readonly stream: SidecarStream;
  readonly openedAtMs: number;
  session: SidecarSession | null = null;
  lastHeardMs: number;
  nextBeatAtMs = 0;
  nextIdentityCheckAtMs = 0;
  /** When the peer last took something, or there was nothing to take. */
  lastTakenMs: number;
  over = false;
  readonly #owner: ConnectionOwner;

  constructor(owner: ConnectionOwner, stream: SidecarStream) {
    this.#owner = owner;
    this.stream = stream;
    this.openedAtMs = owner.nowMs();
    this.lastHeardMs = this.openedAtMs;
    this.lastTakenMs = this.openedAtMs;
  }

  message({ body }: SidecarMessage): void {
    if (this.over) return;
    this.lastHeardMs = this.#owner.nowMs();
    const { session } = this;
    if (body?.$case === 'hello') {
      if (session) this.end({ code: 'invalid-argument', message: 'Hello was sent twice.' });
      else this.#owner.admit(this, body.value);
    } else if (!session) {
      this.end({ code: 'invalid-argument', message: 'Hello must be the first message of a stream.' });
    } else {
      this.#handle(session, body);
    }
  }

  drained(): void {
    if (this.over) return;
    this.lastTakenMs = this.#owner.nowMs();
    if (this.session?.welcomed) this.session.pump();
  }

  closed(): void {
    this.#finish();
  }

  /** Ends the stream. What was queued before still goes out, if the peer reads. */
  end(error?: StreamError): void {
    if (this.over) return;
    this.#finish();
    this.stream.end(error);
  }

  /** Cuts the stream: for peers that do not read or are not there any more. */
  cut(): void {
    if (this.over) return;
    this.#finish();
    this.stream.destroy();
  }

  #handle(session: SidecarSession, body: Exclude<SidecarMessage['body'], { $case: 'hello' }>): void {
    switch (body?.$case) {
      case 'ack': return session.onAck(body.value);
      case 'nack': return session.onNack(body.value);
      case 'needHashes': return session.onNeed(body.value);
      case 'heartbeat': return session.onHeartbeat(body.value);
      case 'leaving': return this.#owner.leaving(this, session, Number(body.value.deadlineMs));
      // A message of a later protocol: it keeps the stream alive, and means nothing to us.
      case undefined: return;
    }
  }

  #finish(): void {
    if (this.over) return;
    this.over = true;
    this.#owner.ended(this);
  }
}
