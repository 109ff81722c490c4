import { parseDurationMs, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ExternalAuth } from './gen/external-auth.ts';
import { checkExternalAuth, externalAuthDefaults, externalAuthSchema, type EffectiveExternalAuth } from './schema.ts';

/** Somebody outside decides: provider side. */
export const externalAuthAuthoring: AuthoringKind = {
  name: 'externalAuth',
  side: 'provider',
  always: false,
  shadow: true,
  format: 2,
  schema: externalAuthSchema,
  defaults: externalAuthDefaults,
  entryDefaults: {},
  consumers: true,
  check: checkExternalAuth,
  compile: (effective) => ({ minFormat: (effective as EffectiveExternalAuth).body === undefined ? 1 : 2, body: ExternalAuth.encode(toMessage(effective)).finish() }),
};

function toMessage(effective: EffectiveExternalAuth): ExternalAuth {
  const { http, grpc, deadline, onFailure, allowPrivateAddresses, requestHeaders, headersToUpstream, consumerHeader, cache, context = {}, body } = effective;
  return {
    http: http?.url === undefined ? undefined : { url: http.url },
    grpc: grpc?.address === undefined ? undefined : { address: grpc.address, tls: grpc.tls ?? false },
    deadlineMs: parseDurationMs(deadline ?? '') ?? 200,
    allowOnFailure: onFailure === 'allow',
    allowPrivateAddresses: allowPrivateAddresses ?? false,
    requestHeaders: names(requestHeaders),
    headersToUpstream: names(headersToUpstream),
    consumerHeader: consumerHeader?.toLowerCase() ?? '',
    cache: cache === undefined ? undefined : { ttlMs: parseDurationMs(cache.ttl ?? '') ?? 0, entries: cache.entries ?? 10_000, key: [...cache.key ?? []] },
    context: Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value })),
    body: body === undefined ? undefined : { maxBytes: parseSizeBytes(body.maxBytes ?? '') ?? bodyBytesDefault, allowPartial: body.allowPartial ?? false, packAsBytes: body.packAsBytes ?? false },
  };
}

const bodyBytesDefault = 64 * 1024;

function names(list: readonly string[] | undefined): string[] {
  return [...new Set((list ?? []).map((name) => name.toLowerCase()))].sort();
}
