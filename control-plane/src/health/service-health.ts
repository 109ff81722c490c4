import type { HeldState } from '../telemetry/held-states.ts';

/** Who cannot reach a service, or some of its hosts, and why: as its callers see it. */
export interface ServiceHealth {
  readonly service: string;
  /** Subjects that may call it, with their sidecars. */
  readonly callers: readonly CallerHealth[];
  /** What holds now, the one that most callers hold first. */
  readonly troubles: readonly Trouble[];
}

export interface CallerHealth {
  /** `service/web`. */
  readonly caller: string;
  readonly instances: number;
  /** Those of them that hold something against the service. */
  readonly troubled: number;
}

/** The same thing held by several sidecars: a host that they leave out, or a breaker that is open. */
export interface Trouble {
  readonly kind: string;
  readonly event: string;
  /** '' where it is about all hosts. */
  readonly host: string;
  /** Sidecars that hold it, and those that could. */
  readonly held: number;
  readonly of: number;
  readonly pointer: string;
  /** Set the field that decided; several where callers have different ones, '' for a default. */
  readonly policies: readonly string[];
  /** Figures of the one that held it last. */
  readonly detail: string;
  readonly since: string;
  /** When the last of them ends by itself; null: it does not. */
  readonly until: string | null;
  /** The first of them, and whose they are. */
  readonly by: readonly { readonly nodeId: string; readonly caller: string; readonly since: string; readonly until: string | null; readonly detail: string }[];
}

export interface ServiceHealthInput {
  readonly service: string;
  /** Subjects that may call it, by their documents. */
  readonly callers: readonly string[];
  readonly sidecars: readonly { readonly subject: string; readonly connected: boolean }[];
  readonly held: readonly HeldState[];
}

export function serviceHealth({ service, callers, sidecars, held }: ServiceHealthInput): ServiceHealth {
  const own = held.filter((state) => state.service === service);
  const subjects = [...new Set([...callers, ...own.map(({ subject }) => subject)])].sort();
  const instances = (caller: string): number => sidecars.filter(({ subject, connected }) => connected && subject === caller).length;
  return {
    service,
    callers: subjects.map((caller) => ({ caller, instances: instances(caller), troubled: new Set(own.filter(({ subject }) => subject === caller).map(({ nodeId }) => nodeId)).size })),
    troubles: troublesOf(own, subjects.reduce((sum, caller) => sum + instances(caller), 0)),
  };
}

function troublesOf(held: readonly HeldState[], sidecars: number): Trouble[] {
  const groups = new Map<string, HeldState[]>();
  for (const state of held) {
    const key = `${state.kind}\0${state.event}\0${state.host}\0${state.pointer}`;
    const group = groups.get(key) ?? [];
    group.push(state);
    groups.set(key, group);
  }
  const troubles = [...groups.values()].map((group) => troubleOf(group, sidecars));
  return troubles.sort((a, b) => b.held - a.held || (a.since < b.since ? -1 : a.since > b.since ? 1 : a.host < b.host ? -1 : 1));
}

function troubleOf(group: readonly HeldState[], sidecars: number): Trouble {
  const byTime = [...group].sort((a, b) => (a.since < b.since ? -1 : 1));
  const [first] = byTime as [HeldState];
  const last = byTime.at(-1) as HeldState;
  const held = new Set(group.map(({ nodeId }) => nodeId)).size;
  return {
    kind: first.kind, event: first.event, host: first.host, held, of: Math.max(held, sidecars), pointer: first.pointer,
    policies: [...new Set(group.map(({ policy }) => policy))].sort(), detail: last.detail, since: first.since,
    until: byTime.reduce<string | null>((latest, { until }) => (latest === null || until === null ? null : until > latest ? until : latest), first.until),
    by: byTime.slice(0, namedMax).map(({ nodeId, subject, since, until, detail }) => ({ nodeId, caller: subject, since, until, detail })),
  };
}

const namedMax = 20;
