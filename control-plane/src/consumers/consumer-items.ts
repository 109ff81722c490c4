import type { SubjectKey } from '@remora/core/subject';
import { contentHash } from '@remora/core/hash';
import type { ConsumerDocument } from '@remora/model/consumer-schema';
import type { PlanDocument } from '@remora/model/plan-schema';
import type { ConsumerProof } from '@remora/policy-kit/authoring-kind';
import type { Planned } from '../compile/planner.ts';
import type { EncodedItem, StateItemSource } from '../push/state-items.ts';
import type { CredentialBook } from './credential-book.ts';
import { encodeConsumers, encodeLookupKey, encodePlans, encodeProofs, partCount, partitionOfConsumer } from './encode-parts.ts';

const noItems: readonly EncodedItem[] = Object.freeze([]);

/**
 * Consumers as sidecars know them: items of kind `consumers`, only for subjects whose effective settings look for consumers, and with what proves them only in
 * the ways that these look for. A change of one consumer makes one part of each way anew.
 */
export class ConsumerItems implements StateItemSource {
  readonly kind = 'consumers';
  readonly #book: CredentialBook;
  readonly #alarm: (error: unknown) => void;
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  #planned: Planned | null = null;
  #consumers: ReadonlyMap<string, ConsumerDocument> = new Map();
  #plans: ReadonlyMap<string, PlanDocument> = new Map();
  readonly #members: Set<string>[] = Array.from({ length: partCount }, () => new Set());
  /** By `consumers`, a way, `plans` or `key`, then by part. */
  readonly #encoded = new Map<string, Map<number, readonly EncodedItem[]>>();
  /** Whole answers, by what a subject needs. */
  readonly #answers = new Map<string, readonly EncodedItem[]>();

  constructor({ book, alarm }: { readonly book: CredentialBook; readonly alarm: (error: unknown) => void }) {
    this.#book = book;
    this.#alarm = alarm;
    book.onChange((names) => {
      this.#forget(names);
      this.#tell();
    });
  }

  /** The documents of now. Before the first call nothing is known. */
  follow(planned: Planned): void {
    const before = this.#planned;
    this.#planned = planned;
    const { consumers, plans } = planned.state;
    const moved = consumers !== this.#consumers || plans !== this.#plans;
    if (consumers !== this.#consumers) this.#take(consumers);
    if (plans !== this.#plans) {
      this.#plans = plans;
      this.#encoded.delete('plans');
      this.#answers.clear();
    }
    if (before === null || moved) this.#tell();
    else {
      const others = [...planned.changed].filter((subject) => needKey(before, subject) !== needKey(planned, subject));
      if (others.length > 0) for (const listener of this.#listeners) listener(others);
    }
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    if (this.#planned === null) return null;
    const proofs = this.#planned.compilation.subjects.get(subject)?.needs.consumers ?? null;
    if (proofs === null) return noItems;
    const key = proofs.join(',');
    let answer = this.#answers.get(key);
    if (answer !== undefined) return answer;
    try {
      answer = this.#collect(proofs);
    } catch (error) {
      // What cannot be opened is held, never taken away.
      this.#alarm(error);
      return null;
    }
    this.#answers.set(key, answer);
    return answer;
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(consumers: ReadonlyMap<string, ConsumerDocument>): void {
    const changed = [...new Set([...this.#consumers.keys(), ...consumers.keys()])].filter((name) => this.#consumers.get(name) !== consumers.get(name));
    this.#consumers = consumers;
    for (const name of changed) {
      const members = this.#members[partitionOfConsumer(name)];
      if (consumers.has(name)) members?.add(name);
      else members?.delete(name);
    }
    this.#forget(changed);
  }

  #forget(names: readonly string[]): void {
    for (const name of names) for (const [what, parts] of this.#encoded) if (what !== 'plans' && what !== 'key') parts.delete(partitionOfConsumer(name));
    this.#answers.clear();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener('all');
  }

  #collect(proofs: readonly ConsumerProof[]): readonly EncodedItem[] {
    const items = [...this.#common('plans', () => encodePlans(this.#plans.values()))];
    if (proofs.includes('apiKey')) items.push(...this.#common('key', () => [encodeLookupKey(this.#book.lookupKey())]));
    for (let part = 0; part < partCount; part++) {
      const names = this.#members[part];
      if (names === undefined || names.size === 0) continue;
      const members = (): ConsumerDocument[] => [...names].flatMap((name) => this.#consumers.get(name) ?? []);
      items.push(...this.#part('consumers', part, () => encodeConsumers(members())));
      for (const proof of proofs) items.push(...this.#part(proof, part, () => encodeProofs(proof, members(), this.#book)));
    }
    return items;
  }

  #common(what: string, encode: () => Uint8Array[]): readonly EncodedItem[] {
    return this.#kept(what, -1, () => encode().map((body, nth) => ({ name: nth === 0 ? what : `${what}-${nth}`, body, hash: contentHash(body) })));
  }

  #part(what: string, part: number, encode: () => Uint8Array[]): readonly EncodedItem[] {
    return this.#kept(what, part, () => encode().map((body, nth) => ({ name: nth === 0 ? `${what}.${part}` : `${what}.${part}.${nth}`, body, hash: contentHash(body) })));
  }

  #kept(what: string, part: number, make: () => readonly EncodedItem[]): readonly EncodedItem[] {
    let parts = this.#encoded.get(what);
    if (parts === undefined) this.#encoded.set(what, parts = new Map());
    let items = parts.get(part);
    if (items === undefined) parts.set(part, items = make());
    return items;
  }
}

function needKey(planned: Planned, subject: SubjectKey): string {
  return planned.compilation.subjects.get(subject)?.needs.consumers?.join(',') ?? 'none';
}
