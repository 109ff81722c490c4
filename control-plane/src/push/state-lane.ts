import { compareVersions, noVersion, type Version } from '@remora/core/version';
import { DestinationList, type EndpointView, type EndpointViews } from './endpoint-views.ts';
import type { PushLimits } from './push-limits.ts';
import type { ItemSet } from './subject-items.ts';
import type { StateMessage, StateMessages } from './state-messages.ts';

interface InFlight extends StateMessage {
  readonly kind: 'update' | 'unchanged';
  readonly sinceMs: number;
}

/**
 * The state lane of one stream: the newest view wins, at most one message without an answer. It decides which message is
 * next and what an answer means; it neither sends nor keeps time.
 */
export class StateLane {
  readonly #messages: StateMessages;
  readonly #views: EndpointViews;
  readonly #items: () => ItemSet;
  readonly #limits: PushLimits;
  appliedVersion: Version = noVersion;
  /** By the sidecar's own word; '' for nothing. */
  appliedHash = '';
  persisted = false;
  /** What the sidecar has, where the hub knows it: the base of the next message. */
  acked: EndpointView | null = null;
  list: DestinationList = new DestinationList([]);
  /** Nothing is known of what the sidecar needs: it holds what it has. */
  paused = false;
  /** All that was wanted before this is in force; monotonic ms. */
  reachedAtMs = -Infinity;
  #inFlight: InFlight | null = null;
  #greeted = false;
  #refusedHash = '';
  #holdUntilMs = 0;
  #resyncs = 0;
  #failures = 0;

  /** `items`: of the subject that the sidecar was admitted as. */
  constructor(deps: { readonly messages: StateMessages; readonly views: EndpointViews; readonly items: () => ItemSet; readonly limits: PushLimits }) {
    this.#messages = deps.messages;
    this.#views = deps.views;
    this.#items = deps.items;
    this.#limits = deps.limits;
  }

  /** What Hello or a heartbeat says is in force. */
  believe(applied: { readonly version: Version; readonly hash: string; readonly persisted: boolean }): void {
    this.appliedVersion = applied.version;
    this.appliedHash = applied.hash;
    this.persisted = applied.persisted;
  }

  /** Hash of the one item of a kind that the sidecar has, by its own word; '' where that is not known. */
  heldItem(kind: string): string {
    for (const [key, item] of this.acked?.items ?? []) if (item && key.startsWith(`${kind}/`)) return item.hash;
    return '';
  }

  get waiting(): boolean {
    return this.#inFlight !== null;
  }

  get waitingSinceMs(): number | null {
    return this.#inFlight?.sinceMs ?? null;
  }

  /** Version of the message that has no answer yet. */
  get waitingVersion(): Version | null {
    return this.#inFlight?.version ?? null;
  }

  get heldUntilMs(): number {
    return this.#holdUntilMs;
  }

  desired(nowMs: number): EndpointView {
    return this.#views.viewOf(this.list, this.#items(), nowMs);
  }

  /** Whether the sidecar was sent a set of each of these services, or nothing is known of the others; and the items that its configuration may name. */
  covers(destinations: readonly string[], nowMs: number): boolean {
    const sent = this.#inFlight?.view ?? this.acked;
    return destinations.every((service) => sent?.sets.has(service) || this.#views.setOf(service, nowMs) === null) && this.#coversItems(sent, nowMs);
  }

  /** Items that were refused, or are the wrong ones, hold no configuration up. */
  #coversItems(sent: EndpointView | null, nowMs: number): boolean {
    const items = this.#items();
    if (items.size === 0 || this.desired(nowMs).hash === this.#refusedHash) return true;
    for (const [key, item] of items) if (item !== null && !sent?.items?.has(key)) return false;
    return true;
  }

  /** Whether what is desired now is in force. */
  hasAll(nowMs: number): boolean {
    return this.desired(nowMs).hash === this.appliedHash;
  }

  /** Whether the sidecar refused what is desired now. */
  isRefused(nowMs: number): boolean {
    return this.#refusedHash !== '' && this.desired(nowMs).hash === this.#refusedHash;
  }

  /** The message to send now, or null. `starts` names what it is, for the counters. */
  next(nowMs: number): { readonly bytes: Uint8Array; readonly starts: string } | null {
    if (this.#inFlight || this.paused || nowMs < this.#holdUntilMs) return null;
    const view = this.desired(nowMs);
    if (view.hash === this.appliedHash) return this.#greet(view, nowMs);
    if (view.hash === this.#refusedHash) return null;
    const message = this.#messages.update(this.acked, view, this.appliedVersion);
    this.#inFlight = { ...message, kind: 'update', sinceMs: nowMs };
    return { bytes: message.bytes, starts: 'state/update' };
  }

  /** Null: it answers nothing that is out. Otherwise the view before and the view now, and whether `reachedAtMs` moved. */
  ack(version: Version, hash: string, persisted: boolean, nowMs: number): { readonly before: EndpointView | null; readonly now: EndpointView; readonly reached: boolean } | null {
    const flight = this.#inFlight;
    if (!flight || compareVersions(flight.version, version) !== 0 || flight.view.hash !== hash) return null;
    const before = this.acked;
    this.#inFlight = null;
    this.#greeted = true;
    this.#failures = 0;
    this.#resyncs = 0;
    this.#refusedHash = '';
    this.acked = flight.view;
    this.believe({ version, hash, persisted });
    const all = this.hasAll(nowMs);
    // A part of what was wanted when it was sent says nothing of the rest.
    const reached = all || flight.complete;
    if (reached) this.reachedAtMs = all ? nowMs : flight.sinceMs;
    return { reached, before, now: flight.view };
  }

  /** Null: it answers nothing that is out. Otherwise what was refused. */
  nack(version: Version): { readonly view: EndpointView; readonly kind: 'update' | 'unchanged' } | null {
    const flight = this.#inFlight;
    if (!flight || compareVersions(flight.version, version) !== 0) return null;
    this.#inFlight = null;
    if (flight.kind === 'unchanged') this.#greeted = false;
    return { view: flight.view, kind: flight.kind };
  }

  /** Everything again, after NACK `resync`. Answers false for the third in a row, which is to be treated as `transient`. */
  resync(): boolean {
    this.acked = null;
    this.appliedHash = '';
    this.#resyncs++;
    return this.#resyncs < 3;
  }

  /** After NACK `invalid` or `guard`: nothing until the sets differ. */
  refuse(hash: string): void {
    this.#refusedHash = hash;
  }

  /** After NACK `transient`: answers after how many ms to try again. `random` in [0, 1). */
  backOff(nowMs: number, random: number): number {
    const delayMs = Math.min(this.#limits.backoffMaxMs, this.#limits.backoffFirstMs * 2 ** Math.min(16, this.#failures));
    this.#failures++;
    const jitteredMs = delayMs * (0.75 + 0.5 * random);
    this.#holdUntilMs = nowMs + jitteredMs;
    return jitteredMs;
  }

  #greet(view: EndpointView, nowMs: number): { readonly bytes: Uint8Array; readonly starts: string } | null {
    this.acked ??= view;
    if (this.#greeted) return null;
    this.#greeted = true;
    const message = this.#messages.unchanged(view, this.appliedVersion);
    this.#inFlight = { ...message, kind: 'unchanged', sinceMs: nowMs };
    return { bytes: message.bytes, starts: 'state/unchanged' };
  }
}
