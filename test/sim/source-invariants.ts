import { compareVersions, formatVersion, type Version } from '@remora/core/version';

/** The instances of a service, as the control plane or a caller has them: by name, whether they are doubted. */
export type SeenSet = ReadonlyMap<string, 'sure' | 'suspect'>;

/** As design.md section 4 states them. */
const windowMs = 30_000;
const vanishingShareMax = 0.5;

/** What was learnt so shortly before a crash is not written down, and is learnt again. */
const unwrittenMs = 300;

interface Told {
  set: SeenSet;
  /** Since when each of them is known without a break. */
  since: ReadonlyMap<string, number>;
  /** Of instances that were sure and are gone: when. */
  readonly gone: Map<string, number>;
}

interface Caller {
  readonly incarnation: number;
  /** Of the state lane. */
  version: Version;
  /** Which of what the control plane told it has, by service; the oldest that it may be. */
  readonly at: Map<string, number>;
}

/** What holds of endpoints that sources find, whatever they say and whoever dies. */
export class SourceInvariants {
  readonly violations: string[] = [];
  /** Sets in which something was doubted, and endpoints that callers were told are gone. */
  doubted = 0;
  departures = 0;
  readonly #told = new Map<string, Told>();
  /** Everything that callers were told, in order. */
  readonly #history = new Map<string, string[]>();
  readonly #callers = new Map<string, Caller>();

  /** The control plane tells callers this from now on; null: it says nothing, and callers hold what they have. Also after a restart. */
  told(service: string, set: SeenSet | null, nowMs: number): void {
    if (set === null) return;
    const before = this.#told.get(service) ?? { set: new Map(), since: new Map(), gone: new Map() };
    this.#told.set(service, before);
    this.#lost(service, before, set, nowMs);
    before.set = set;
    before.since = new Map([...set.keys()].map((id) => [id, before.since.get(id) ?? nowMs]));
    if ([...set.values()].includes('suspect')) this.doubted += 1;
    const history = this.#history.get(service) ?? [];
    this.#history.set(service, history);
    const text = textOf(set);
    if (history.at(-1) !== text) history.push(text);
  }

  /** The control plane died. */
  crashed(nowMs: number): void {
    for (const told of this.#told.values()) told.set = new Map([...told.set].filter(([id]) => nowMs - (told.since.get(id) ?? nowMs) >= unwrittenMs));
  }

  /** A caller has this from now on. */
  has(caller: { readonly node: string; readonly incarnation: number; readonly version: Version }, service: string, set: SeenSet): void {
    const { node, incarnation, version } = caller;
    let known = this.#callers.get(node);
    if (known?.incarnation !== incarnation) this.#callers.set(node, known = { incarnation, version, at: new Map() });
    if (compareVersions(version, known.version) < 0) this.violations.push(`the state of ${node} went back from ${formatVersion(known.version)} to ${formatVersion(version)}`);
    known.version = version;
    const history = this.#history.get(service) ?? [];
    const found = history.indexOf(textOf(set), known.at.get(service) ?? 0);
    if (found >= 0) known.at.set(service, found);
    else this.violations.push(`${node} has ${service} as ${textOf(set)}, which nobody told it${history.includes(textOf(set)) ? ' since what it had before' : ''}`);
  }

  /** In the end: a caller knows every instance that there is, surely, and doubts what it still has of others. */
  converged(node: string, service: string, truth: ReadonlySet<string>, set: SeenSet | null): string[] {
    if (set === null) return [`${node} knows nothing of ${service}`];
    const found: string[] = [];
    for (const id of truth) if (set.get(id) !== 'sure') found.push(`${node} ${set.has(id) ? 'doubts' : 'does not know'} ${id}`);
    for (const [id, how] of set) if (!truth.has(id) && how === 'sure') found.push(`${node} is sure of ${id}, which is gone`);
    return found;
  }

  #lost(service: string, { set: before, gone }: Told, set: SeenSet, nowMs: number): void {
    for (const [id, at] of gone) if (set.has(id) || nowMs - at >= windowMs) gone.delete(id);
    const lost = [...before].filter(([id, how]) => how === 'sure' && !set.has(id));
    if (lost.length === 0) return;
    const sure = (one: SeenSet): number => [...one.values()].filter((how) => how === 'sure').length;
    const whole = Math.max(sure(before), sure(set) + lost.length) + gone.size;
    for (const [id] of lost) gone.set(id, nowMs);
    this.departures += lost.length;
    if (gone.size > whole * vanishingShareMax) this.violations.push(`callers lost ${gone.size} of ${whole} instances of ${service} within ${windowMs / 1_000} s: ${[...gone.keys()].join(' ')}`);
    if (set.size === 0 && before.size > 0) this.violations.push(`callers lost all instances of ${service}`);
  }
}

function textOf(set: SeenSet): string {
  return [...set].map(([id, how]) => (how === 'sure' ? id : `${id}?`)).sort().join(' ');
}
