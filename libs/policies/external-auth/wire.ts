import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { ExternalAuth, Question, Reply, type Body, type Cache } from './gen/external-auth.ts';
import { externalAuthBodyTooLarge, externalAuthDenied, externalAuthFailed } from './reasons.ts';

export interface ExternalAuthSettings {
  /** '' where gRPC is spoken. */
  readonly url: string;
  /** '' where HTTP is. */
  readonly address: string;
  readonly tls: boolean;
  readonly deadlineMs: number;
  readonly allowOnFailure: boolean;
  readonly allowPrivateAddresses: boolean;
  readonly requestHeaders: readonly string[];
  readonly headersToUpstream: readonly string[];
  readonly consumerHeader: string;
  readonly cache: { readonly ttlMs: number; readonly entries: number; readonly key: readonly string[] } | null;
  readonly context: readonly { readonly name: string; readonly value: string }[];
  /** null: the authorizer is not told. */
  readonly body: BodySettings | null;
}

/** What of a request body the authorizer is told. */
export interface BodySettings {
  readonly maxBytes: number;
  /** The beginning of a longer body is told; else the request is refused. */
  readonly allowPartial: boolean;
  /** gRPC: `raw_body` in place of `body`. */
  readonly packAsBytes: boolean;
}

export const externalAuthMax = { headers: 64, deadlineMs: 10_000, ttlMs: 3_600_000, keyParts: 8, entries: 100_000, context: 64, answerBytes: 64 * 1024, answerHeaders: 64, bodyBytes: 4 * 1024 * 1024 } as const;

export const externalAuthWire = { name: 'externalAuth', format: 2, reasons: [externalAuthDenied, externalAuthFailed, externalAuthBodyTooLarge], decode: decodeExternalAuth } as const;

/** What data threads ask the control thread, under the topic `externalAuth`, and what it answers. */
export const authQuestion = { topic: 'externalAuth', Question, Reply } as const;

function decodeExternalAuth(bytes: Uint8Array): ExternalAuthSettings {
  const message = decodeMessage(ExternalAuth, bytes);
  const { http, grpc } = message;
  if ((http === undefined) === (grpc === undefined)) throw new WireError('', 'missing-field', 'one authorizer is needed');
  return Object.freeze({
    url: boundedText(http?.url ?? '', '/http/url', 2_048, /^(?:https?:\/\/.+)?$/),
    address: boundedText(grpc?.address ?? '', '/grpc/address', 300, /^(?:[^/\s]+:\d{1,5})?$/),
    tls: grpc?.tls ?? false,
    deadlineMs: wholeNumber(message.deadlineMs, '/deadline', 1, externalAuthMax.deadlineMs),
    allowOnFailure: message.allowOnFailure,
    allowPrivateAddresses: message.allowPrivateAddresses,
    requestHeaders: names(message.requestHeaders, '/requestHeaders'),
    headersToUpstream: names(message.headersToUpstream, '/headersToUpstream'),
    consumerHeader: message.consumerHeader === '' ? '' : wireHeaderName(message.consumerHeader, '/consumerHeader'),
    cache: message.cache === undefined ? null : readCache(message.cache),
    context: Object.freeze(boundedList(message.context, '/context', externalAuthMax.context).map(({ name, value }) => ({ name: boundedText(name, '/context', 256), value: boundedText(value, '/context', 4_096) }))),
    body: message.body === undefined ? null : readBody(message.body),
  });
}

function names(list: readonly string[], pointer: string): readonly string[] {
  return Object.freeze(boundedList(list, pointer, externalAuthMax.headers).map((name) => wireHeaderName(name, pointer)));
}

function readBody({ maxBytes, allowPartial, packAsBytes }: Body): BodySettings {
  return Object.freeze({ maxBytes: wholeNumber(maxBytes, '/body/maxBytes', 1, externalAuthMax.bodyBytes), allowPartial, packAsBytes });
}

function readCache({ ttlMs, entries, key }: Cache): NonNullable<ExternalAuthSettings['cache']> {
  return Object.freeze({
    ttlMs: wholeNumber(ttlMs, '/cache/ttl', 1, externalAuthMax.ttlMs),
    entries: wholeNumber(entries, '/cache/entries', 1, externalAuthMax.entries),
    key: Object.freeze(boundedList(key, '/cache/key', externalAuthMax.keyParts).map((part) => boundedText(part, '/cache/key', 1_024))),
  });
}
