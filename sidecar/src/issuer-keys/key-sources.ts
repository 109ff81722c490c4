import type { FetchedKeys, JwtSettings } from '@remora/policy-jwt/wire';
import type { OidcLoginSettings } from '@remora/policy-oidc-login/wire';
import type { Snapshot } from '@remora/snapshot/snapshot';

/** Where the keys of a snapshot's issuers are fetched, by name. Policies that name the same place share it; the shortest age counts. */
export function keySources(snapshot: Snapshot): ReadonlyMap<string, FetchedKeys> {
  const sources = new Map<string, FetchedKeys>();
  for (const { sections } of snapshot.settings.values()) {
    for (const { kind, settings } of sections) {
      for (const source of sourcesOf(kind, settings)) {
        const known = sources.get(source.name);
        if (known === undefined || source.maxAgeMs < known.maxAgeMs) sources.set(source.name, source);
      }
    }
  }
  return sources;
}

function sourcesOf(kind: string, settings: unknown): readonly FetchedKeys[] {
  if (kind === 'oidcLogin') return [(settings as OidcLoginSettings).source];
  return kind === 'jwt' ? (settings as JwtSettings).issuers.flatMap(({ source }) => (source === null ? [] : [source])) : [];
}
