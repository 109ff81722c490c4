import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { MessageHead } from '@remora/http/message-head';
import type { Call, CallLimit, Sink, Source } from '@remora/policy-kit/exchange';
import type { Balancer, HostWatch } from '@remora/policy-kit/hosts';
import { noteTry } from '@remora/policy-kit/try-note';
import { endsInTrailers, grpcStatusIn } from '../pipeline/grpc-answer.ts';
import type { ClusterHost } from './cluster-host.ts';
import { connectReason } from './connect-reason.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Deferred } from '../io/turn.ts';
import type { TargetHosts } from './target-hosts.ts';
import { tellDeadlines } from './told-deadlines.ts';
import type { UpstreamPool } from './upstream-pool.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/**
 * One attempt of a call: chooses an endpoint, takes a connection of its pool, and stands between the call's bodies and that connection.
 * Sink of the request body, Source of the response body. Applies the limits of the call with one timer.
 */
export class Attempt extends WheelNode implements Sink, Source, Deferred {
  readonly call: Call;
  readonly #response: Sink;
  readonly #thread: ThreadContext;
  #pool: UpstreamPool | null = null;
  #host: ClusterHost | null = null;
  /** Still to be told how the attempt ended. */
  #watch: HostWatch | null = null;
  /** A head that does not say how its call of gRPC ended: the watch is told when the trailers do. */
  #untold: MessageHead | null = null;
  #latencyMs = 0;
  #connection: UpstreamStream | null = null;
  #phase: Phase = waiting;
  #startedAt = 0;
  #connectingSince = 0;
  #activeAt = 0;
  #requestEnded = false;
  /** The upstream has switched: both bodies are the bytes of a tunnel, each ends on its own, and the tunnel has limits of its own. */
  #tunnel = false;
  #responseEnded = false;
  /** The producer of the request body was told to hold back. */
  #heldBack = false;
  /** The host is counted as owing an answer: it has been chosen, and nobody but it is waited for. */
  #owed = false;
  /** Failed before it could begin: told at the end of the turn. */
  #failure: Reason | null = null;
  #resuming = false;

  constructor(call: Call, response: Sink, thread: ThreadContext) {
    super();
    this.call = call;
    this.#response = response;
    this.#thread = thread;
  }

  /** `usual` chooses where no policy does. */
  begin(hosts: TargetHosts, usual: Balancer): void {
    const { call } = this;
    this.#response.bind(this);
    this.#startedAt = this.#thread.turn.now();
    this.#requestEnded = call.head.bodyLength === 0 && call.head.protocol === '';
    call.x.attempts++;
    call.x.limit = null;
    call.hosts = hosts;
    // Hosts are made by clusters, and by nobody else.
    const host = (call.balancer ?? usual).choose(call, hosts, this.#startedAt) as ClusterHost | null;
    call.host = host;
    if (host === null) {
      this.#failLater(reasons.noHealthyUpstream);
      return;
    }
    const pool = hosts.poolOf(host);
    call.endpoint = host.id;
    call.x.upstream = host.address;
    call.refusable = pool.protocol === 'http2' || pool.protocol === 'negotiated';
    this.#host = host;
    this.#pool = pool;
    this.#watch = call.watch;
    pool.chosen(this.#startedAt);
    pool.active++;
    host.active++;
    this.#owe(this.#startedAt);
    if (!pool.acquire(this)) {
      this.#tellFailed(reasons.overflow);
      this.#failLater(reasons.overflow);
      return;
    }
    if (this.#phase !== over) this.#armNext(this.#startedAt);
  }

  // --- from the connection ----------------------------------------------------------------------------------------

  assigned(connection: UpstreamStream, connected: boolean): void {
    this.#connection = connection;
    this.call.reused = connection.reused;
    if (connected) {
      this.connected();
      return;
    }
    this.#phase = connecting;
    this.#connectingSince = this.#thread.turn.now();
    if (this.#thread.wheels.isArmed(this)) this.#armNext(this.#connectingSince);
  }

  connected(): void {
    const { call } = this;
    this.#phase = awaitingHead;
    this.#activeAt = this.#thread.turn.now();
    // How long the client takes for its body is not the host's silence.
    if (!this.#requestEnded) this.#settle(this.#activeAt, false);
    tellDeadlines(call, this.#startedAt, this.#activeAt);
    if (!(this.#connection as UpstreamStream).sendHead(call.head as MessageHead, this.#requestEnded)) {
      // Nothing was written, but the connection counts the attempt as its own.
      const connection = this.#release();
      connection?.abandon();
      // No host's doing.
      this.#watch = null;
      this.#failLater(reasons.filterFailed);
      return;
    }
    // What follows a request to switch is only wanted after the switch.
    if (!this.#requestEnded && call.head.protocol === '') call.body.resume();
  }

  /** The tunnel goes on over this stream; `onHead` with the switch follows. */
  switchTo(stream: UpstreamStream): void {
    this.#connection = stream;
  }

  /** Whether a response with this status has no body, whatever its fields say (RFC 9112 section 6.3). */
  bodiless(status: number): boolean {
    return status === 204 || status === 304 || this.call.head.method === 'HEAD';
  }

  onWritable(): void {
    if (!this.#heldBack) return;
    this.#heldBack = false;
    this.call.body.resume();
  }

  onInfo(head: MessageHead): void {
    this.#response.info(head);
  }

  onHead(head: MessageHead, end: boolean): void {
    this.#phase = streaming;
    const now = this.#thread.turn.now();
    this.#answered(head, end, now);
    if (head.status >= 500 || (end && grpcStatusIn(head, head) > 0)) this.#note('answered', head.status, end ? grpcStatusIn(head, head) : -1, now);
    this.#activeAt = now;
    this.#tunnel = head.protocol !== '';
    if (end) this.#finish();
    else if (this.#tunnel) this.#thread.wheels.cancel(this);
    else this.#armNext(this.#activeAt);
    this.#response.head(head, end);
    if (this.#tunnel && this.#phase === streaming) this.call.body.resume();
  }

  /** False: hold back until `resume`. */
  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (!end) this.#activeAt = this.#thread.turn.now();
    else if (this.#tunnel && !this.#requestEnded) this.#responseEnded = true;
    else this.#finish();
    return this.#response.data(bytes, at, to, end);
  }

  onTrailers(head: MessageHead): void {
    if (this.#untold !== null) this.#tellAnswered(this.#untold, grpcStatusIn(head, this.#untold));
    this.#finish();
    this.#response.trailers(head);
  }

  onProtocolError(): void {
    this.#fail(reasons.upstreamProtocol);
  }

  /** The peer says that it has not looked at the request. */
  onRefused(): void {
    this.#fail(reasons.refusedStream);
  }

  /** `failure`: why the link broke, as it says itself. */
  onConnectionLost(wasConnected: boolean, _failed: boolean, failure = ''): void {
    const { x } = this.call;
    if (wasConnected && x.grpcDeadlineAt <= this.#thread.turn.now() + turnMs) {
      // The instance knows the deadline too, and keeps it by breaking the call off.
      x.limit = callerDeadline(reasons.upstreamTimeout);
      this.#fail(reasons.upstreamTimeout);
    } else this.#fail(wasConnected ? reasons.upstreamReset : connectReason(failure, this.#pool?.proves === true));
  }

  // --- sink of the request body -----------------------------------------------------------------------------------

  bind(_from: Source): void {}
  info(_head: Head): void {}
  head(_head: Head, _end: boolean): void {}

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#phase === over || this.#connection === null || this.#requestEnded) return true;
    this.#requestEnded = end;
    this.#activeAt = this.#thread.turn.now();
    const more = this.#connection.sendData(bytes, at, to, end);
    this.#heldBack = !more && !end;
    if (end && this.#responseEnded) this.#finish();
    else if (end) this.#owe(this.#activeAt);
    return more;
  }

  trailers(head: Head): void {
    if (this.#phase === over || this.#requestEnded) return;
    this.#requestEnded = true;
    this.#activeAt = this.#thread.turn.now();
    this.#owe(this.#activeAt);
    this.#connection?.sendTrailers(head as MessageHead);
  }

  /** The client's body broke off: the upstream must not take what it has for the whole. */
  reset(_reason: Reason): void {
    this.#cancel();
  }

  // --- source of the response body --------------------------------------------------------------------------------

  resume(): void {
    if (this.#phase !== streaming || this.#resuming) return;
    this.#resuming = true;
    this.#thread.turn.later(this);
  }

  stop(_reason: Reason): void {
    this.#cancel();
  }

  runLater(): void {
    if (this.#failure !== null) {
      const reason = this.#failure;
      this.#failure = null;
      this.#end(reason);
      return;
    }
    this.#resuming = false;
    if (this.#phase === streaming) this.#connection?.resumeReading();
  }

  // --- limits -----------------------------------------------------------------------------------------------------

  fire(): void {
    if (this.#phase === over) return;
    const now = this.#thread.turn.now();
    const expired = this.#expired(now);
    if (expired === null) {
      this.#armNext(now);
      return;
    }
    const { reason } = expired;
    this.call.x.limit = expired;
    this.#ranOut(now);
    this.#tellFailed(reason);
    const connection = this.#release();
    if (reason === reasons.connectTimeout) this.#pool?.connectFailed(now);
    connection?.abandon();
    this.#end(reason);
  }

  #armNext(now: number): void {
    const at = this.#nextLimit();
    if (at < Infinity) this.#thread.wheels.armFrom(now, this, at - now);
  }

  #nextLimit(): number {
    const { call } = this;
    let at = call.deadlineAt;
    if (call.maxStreamMs > 0) at = Math.min(at, this.#startedAt + call.maxStreamMs);
    if (this.#phase === streaming) return call.idleTimeoutMs > 0 ? Math.min(at, this.#activeAt + call.idleTimeoutMs) : at;
    at = Math.min(at, call.x.answerBy);
    if (call.headersTimeoutMs > 0) at = Math.min(at, this.#startedAt + call.headersTimeoutMs);
    if (this.#phase === connecting && call.connectTimeoutMs > 0) at = Math.min(at, this.#connectingSince + call.connectTimeoutMs);
    return at;
  }

  #expired(now: number): Expired | null {
    const { call } = this;
    const deadline = now >= call.deadlineAt;
    const streamOver = call.maxStreamMs > 0 && now >= this.#startedAt + call.maxStreamMs;
    if (this.#phase === streaming) {
      if (streamOver) return expired(reasons.maxStream, '/maxStream', call.maxStreamMs);
      if (deadline) return callerDeadline(reasons.maxStream);
      return call.idleTimeoutMs > 0 && now >= this.#activeAt + call.idleTimeoutMs ? expired(reasons.streamIdle, '/idle', call.idleTimeoutMs) : null;
    }
    if (this.#phase === connecting && call.connectTimeoutMs > 0 && now >= this.#connectingSince + call.connectTimeoutMs) {
      return expired(reasons.connectTimeout, '/connect', call.connectTimeoutMs);
    }
    const headersAt = call.headersTimeoutMs > 0 ? this.#startedAt + call.headersTimeoutMs : Infinity;
    // The layers shorten the limit on headers to what the caller still waits, by a clock that is up to a turn ahead of ours: the deadline is the cause.
    const callerAt = Math.min(call.deadlineAt, call.x.answerBy);
    if (now >= Math.min(headersAt, callerAt) && callerAt <= headersAt + turnMs) return callerDeadline(reasons.upstreamTimeout);
    if (streamOver) return expired(reasons.upstreamTimeout, '/maxStream', call.maxStreamMs);
    if (now < headersAt) return null;
    const perTry = call.perTryTimeoutMs > 0 && call.headersTimeoutMs === call.perTryTimeoutMs;
    if (perTry || call.x.attempts < 2) return expired(reasons.upstreamTimeout, perTry ? '/perTry' : '/request', call.headersTimeoutMs);
    return { reason: reasons.upstreamTimeout, pointer: '/request', detail: `the ${Math.round(call.headersTimeoutMs)} ms that attempts before this one had left of the limit have passed` };
  }

  // --- what is learned of the host --------------------------------------------------------------------------------

  #owe(now: number): void {
    if (this.#owed || this.#phase === streaming || this.#phase === over) return;
    this.#owed = true;
    (this.#host as ClusterHost).asked(now);
  }

  #settle(now: number, answered: boolean): void {
    if (!this.#owed) return;
    this.#owed = false;
    (this.#host as ClusterHost).settled(now, answered);
  }

  /** Nobody waits any longer for an answer that the host owes since it has the request. */
  #ranOut(now: number): void {
    if (this.#owed && this.#phase === awaitingHead) (this.#host as ClusterHost).ranOut(this.#activeAt, now);
  }

  #answered(head: MessageHead, end: boolean, now: number): void {
    const host = this.#host as ClusterHost;
    this.#settle(now, true);
    // Since it was given the last of the request: how long a client takes to send it, or a connection to be made, is no measure of the host. Of TCP there is nothing else.
    this.#latencyMs = now - (this.#pool?.protocol === 'tcp' ? this.#connectingSince : this.#activeAt);
    host.answered(this.#latencyMs, now);
    if (this.#watch === null) return;
    if (!end && endsInTrailers(this.call.head as MessageHead, head)) this.#untold = head;
    else this.#tellAnswered(head, grpcStatusIn(head, head));
  }

  #tellAnswered({ status }: MessageHead, grpcStatus: number): void {
    const watch = this.#watch;
    const host = this.#host as ClusterHost;
    this.#watch = null;
    this.#untold = null;
    if (watch !== null && !host.gone) watch.answered(this.call, host, status, grpcStatus, this.#latencyMs);
  }

  #tellFailed(reason: Reason): void {
    const watch = this.#watch;
    if (watch === null) return;
    const host = this.#host as ClusterHost;
    this.#watch = null;
    this.#untold = null;
    if (!host.gone) watch.failed(this.call, host, reason, this.#phase === awaitingHead || this.#phase === streaming);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  /** The response is complete; the connection has let go of the attempt already. */
  #finish(): void {
    if (this.#untold !== null) this.#tellAnswered(this.#untold, -1);
    this.#release();
    // The rest of the request is of no use to anybody; the connection closes (security.md 1.7).
    if (!this.#requestEnded) this.call.body.stop(reasons.upstreamReset);
  }

  #fail(reason: Reason): void {
    if (this.#phase === over) return;
    this.#tellFailed(reason);
    this.#release();
    this.#end(reason);
  }

  #end(reason: Reason): void {
    this.#note(reason.code, 0, -1, this.#thread.turn.now());
    this.#response.reset(reason);
  }

  /** For people who ask why: only of what failed. */
  #note(outcome: string, status: number, grpcStatus: number, now: number): void {
    const { x, attempt, endpoint } = this.call;
    noteTry(x, { attempt, endpoint, host: this.#host?.address ?? '', outcome, status, grpcStatus, durationMs: now - this.#startedAt, limit: status === 0 ? x.limit : null });
  }

  #failLater(reason: Reason): void {
    this.#release();
    this.#failure = reason;
    this.#thread.turn.later(this);
  }

  /** Nobody wants the answer any more. */
  #cancel(): void {
    if (this.#phase === over) return;
    this.#failure = null;
    this.#watch = null;
    this.#ranOut(this.#thread.turn.now());
    this.#release()?.abandon();
  }

  /** Gives back what the attempt holds; answers the connection where it still has one. */
  #release(): UpstreamStream | null {
    const connection = this.#connection;
    if (this.#phase !== over) {
      this.#phase = over;
      this.#connection = null;
      this.#thread.wheels.cancel(this);
      if (this.#pool !== null) {
        this.#pool.active--;
        (this.#host as ClusterHost).active--;
        this.#settle(this.#thread.turn.now(), false);
        if (connection === null) this.#pool.forget(this);
      }
    }
    return connection;
  }
}

interface Expired extends CallLimit {
  readonly reason: Reason;
}

function expired(reason: Reason, pointer: string, ms: number): Expired {
  return { reason, pointer, detail: `the limit of ${Math.round(ms)} ms has passed` };
}

function callerDeadline(reason: Reason): Expired {
  return { reason, pointer: '', detail: 'the caller said that it would not wait any longer (x-remora-deadline or grpc-timeout)' };
}


/** A turn is rarely longer: two instants of one turn may look this far apart. */
const turnMs = 25;

type Phase = typeof waiting | typeof connecting | typeof awaitingHead | typeof streaming | typeof over;
const waiting = 0;
const connecting = 1;
const awaitingHead = 2;
const streaming = 3;
const over = 4;
