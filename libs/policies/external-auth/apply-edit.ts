import { HeaderAliases } from '@remora/http/header-aliases';
import { makeField } from '@remora/http/header-ids';
import type { Head } from '@remora/http/head';
import type { HeaderEdit } from './decision.ts';

/** Does to a head what an authorizer wants; in every alias of the name, because an app may take one for the other. */
export function applyEdit(head: Head, { name, value, how }: HeaderEdit): void {
  const aliases = aliasesOf(name);
  if (aliases === null) return;
  switch (how) {
    case 'remove':
      head.removeAliases(aliases);
      return;
    case 'set':
      head.removeAliases(aliases);
      head.put(makeField(name, value));
      return;
    case 'append':
      head.put(makeField(name, value));
      return;
    case 'add-if-absent':
      if (!isThere(head, aliases)) head.put(makeField(name, value));
      return;
    case 'set-if-present':
      if (!isThere(head, aliases)) return;
      head.removeAliases(aliases);
      head.put(makeField(name, value));
  }
}

/** False: names of headers take room in a table that belongs to the configuration, and authorizers have had their share of it. */
export function canEdit({ name }: Pick<HeaderEdit, 'name'>): boolean {
  return aliasesOf(name) !== null;
}

const namesMax = 256;
const known = new Map<string, HeaderAliases>();

function aliasesOf(name: string): HeaderAliases | null {
  let aliases = known.get(name);
  if (aliases === undefined) {
    if (known.size >= namesMax) return null;
    known.set(name, aliases = new HeaderAliases([name]));
  }
  return aliases;
}

function isThere(head: Head, aliases: HeaderAliases): boolean {
  let there = false;
  head.forEach((name) => void (there ||= aliases.matchesName(name)));
  return there;
}
