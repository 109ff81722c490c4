import { afterEach, describe, expect, test, vi } from 'vitest';
import type { DiscoveryDocument } from '@remora/model/discovery-schema';
import type { DiscoverySource, SourceObserver } from '../discovery-source.ts';
import type { FoundInstance } from '../found-instance.ts';

/** A place of an instance of the service `payments`, whose only port is `http`, 8080. */
export interface Placed {
  readonly host: string;
  readonly port: number;
}

/** A source with what it asks: something that can be filled, broken and mended by a test. */
export interface SourceUnderTest {
  readonly source: DiscoverySource;
  readonly discovery: DiscoveryDocument;
  /** What it has from now on. */
  put(places: readonly Placed[]): Promise<void>;
  /** From now on it answers with errors, or not at all. */
  break(): Promise<void>;
  hang?(): Promise<void>;
  mend(): Promise<void>;
  end(): Promise<void>;
}

export interface SourceTraits {
  /** "There is none" is an answer, and not taken for a failure. */
  readonly emptyIsAnswer: boolean;
  /** It asks somebody who may not answer: `hang` makes it so. */
  readonly hangs: boolean;
}

/** What an observer was told. */
export class Recorder implements SourceObserver {
  readonly answers: (readonly FoundInstance[])[] = [];
  readonly failures: string[] = [];
  problems: readonly string[] = [];
  told = 0;

  answered(instances: readonly FoundInstance[], problems: readonly string[]): void {
    this.told++;
    this.answers.push(instances);
    this.problems = problems;
  }

  failed(message: string): void {
    this.told++;
    this.failures.push(message);
  }

  /** Of the newest answer, sorted. */
  places(): string[] {
    return (this.answers.at(-1) ?? []).flatMap(({ ports }) => ports.map(({ host, port }) => `${host}:${port}`)).sort();
  }
}

export const paymentsTarget = { service: 'payments', ports: [{ name: 'http', port: 8080 }] } as const;

const two = [{ host: '127.0.0.1', port: 8080 }, { host: '127.0.0.2', port: 8080 }];

/** Starts a source for a test, and ends it afterwards. */
function starter(start: () => Promise<SourceUnderTest>): () => Promise<SourceUnderTest> {
  const ends: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  return async () => {
    const subject = await start();
    ends.push(() => subject.end(), () => subject.source.close());
    return subject;
  };
}

function follow(subject: SourceUnderTest): Recorder & { close(): void } {
  const recorder = new Recorder();
  const following = subject.source.follow({ ...paymentsTarget, discovery: subject.discovery }, recorder);
  return Object.assign(recorder, { close: () => following.close() });
}

/** What every source does, whatever is behind it. `start` makes one that asks within milliseconds. */
export function describeSource(name: string, traits: SourceTraits, start: () => Promise<SourceUnderTest>): void {
  describe(`contract of sources: ${name}`, () => {
    const begin = starter(start);

    test('it is of the kind that documents name', async () => {
      const subject = await begin();
      expect(subject.source.kind).toBe(subject.discovery.source);
    });

    test('what is there is found, and what changes is told', async () => {
      const subject = await begin();
      await subject.put(two);
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.places()).toEqual(['127.0.0.1:8080', '127.0.0.2:8080']));
      const [first] = seen.answers.at(-1) ?? [];
      expect(first).toMatchObject({ backup: false, draining: false, weight: 1 });
      await subject.put([...two, { host: '127.0.0.3', port: 8080 }]);
      await vi.waitFor(() => expect(seen.places()).toEqual(['127.0.0.1:8080', '127.0.0.2:8080', '127.0.0.3:8080']));
      await subject.put(two.slice(1));
      await vi.waitFor(() => expect(seen.places()).toEqual(['127.0.0.2:8080']));
    });

    test('an instance keeps its name', async () => {
      const subject = await begin();
      await subject.put(two);
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
      const idOf = (host: string): string | undefined => seen.answers.at(-1)?.find(({ ports }) => ports[0]?.host === host)?.id;
      const before = idOf('127.0.0.2');
      await subject.put([{ host: '127.0.0.9', port: 8080 }, ...two.slice(1)]);
      await vi.waitFor(() => expect(seen.places()).toContain('127.0.0.9:8080'));
      expect(idOf('127.0.0.2')).toBe(before);
    });

    test('that there is none is an answer, or a failure, as its kind has it', async () => {
      const subject = await begin();
      await subject.put(two);
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
      await subject.put([]);
      await vi.waitFor(() => expect(traits.emptyIsAnswer ? seen.answers.at(-1)?.length === 0 : seen.failures.length > 0).toBe(true));
    });

  });

  describe(`contract of sources that fail: ${name}`, () => {
    const begin = starter(start);

    test('a failure is told, names the source, and it goes on by itself', async () => {
      const subject = await begin();
      await subject.put(two);
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
      await subject.break();
      await vi.waitFor(() => expect(seen.failures.length).toBeGreaterThan(0));
      expect(seen.failures.at(-1)).toMatch(/payments|shop/);
      expect(seen.answers.at(-1)).toHaveLength(2);
      await subject.mend();
      await subject.put(two.slice(0, 1));
      await vi.waitFor(() => expect(seen.places()).toEqual(['127.0.0.1:8080']));
    });

    test('one that is broken from the beginning is a failure, not an answer', async () => {
      const subject = await begin();
      await subject.put(two);
      await subject.break();
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.failures.length).toBeGreaterThan(0));
      expect(seen.answers).toEqual([]);
      await subject.mend();
      await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
    });

    test.each(traits.hangs ? ['one that hangs'] : [])('%s is a failure in time', async () => {
      const subject = await begin();
      await subject.put(two);
      const seen = follow(subject);
      await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
      await subject.hang?.();
      await vi.waitFor(() => expect(seen.failures.length).toBeGreaterThan(0));
      await subject.mend();
      await subject.put(two.slice(1));
      await vi.waitFor(() => expect(seen.places()).toEqual(['127.0.0.2:8080']));
    });

    test('whoever closed is told nothing any more, others are', async () => {
      const subject = await begin();
      await subject.put(two);
      const [left, stayed] = [follow(subject), follow(subject)];
      await vi.waitFor(() => expect([left.places(), stayed.places()].map((places) => places.length)).toEqual([2, 2]));
      left.close();
      const { told } = left;
      await subject.put(two.slice(1));
      await vi.waitFor(() => expect(stayed.places()).toHaveLength(1));
      expect(left.told).toBe(told);
    });
  });
}
