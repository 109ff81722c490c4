import type { Host } from '@remora/policy-kit/hosts';

/** How close a host has to be to count as near; the grades beyond it follow one after the other. */
export const preferences = ['none', 'region', 'zone', 'subzone'] as const;
export type Preference = (typeof preferences)[number];

/** Hosts by how they are preferred. Levels of a group share the requests by their health; the next group is only used where nobody in the ones before is usable. */
export interface HostGroups {
  /** Usual hosts from near to far, then backups from near to far. */
  readonly levels: readonly (readonly Host[])[];
  readonly suspect: readonly Host[];
  readonly draining: readonly Host[];
}

export function groupHosts(hosts: readonly Host[], own: string, prefer: Preference): HostGroups {
  const grades = preferences.indexOf(prefer);
  const levels: Host[][] = Array.from({ length: 2 * (grades + 1) }, () => []);
  const suspect: Host[] = [];
  const draining: Host[] = [];
  for (const host of hosts) {
    if (host.draining) draining.push(host);
    else if (host.suspect) suspect.push(host);
    else levels[distance(host.locality, own, grades) + (host.backup ? grades + 1 : 0)]?.push(host);
  }
  const used = levels.filter((level) => level.length > 0);
  return { levels: used, suspect, draining };
}

/** 0: the same in all grades that count; `grades`: not even the same region. Where either side does not say where it is, it is far. */
function distance(locality: string, own: string, grades: number): number {
  if (grades === 0 || own === '' || locality === '') return grades;
  const [theirs, ours] = [locality.split('/'), own.split('/')];
  let same = 0;
  while (same < grades && theirs[same] !== undefined && theirs[same] === ours[same]) same++;
  return grades - same;
}
