import { makeField } from '@remora/http/header-ids';
import type { Answer, Exchange } from '@remora/policy-kit/exchange';
import { canEdit } from './apply-edit.ts';
import { asUtf8, partialHeader, type BodyForAuthorizer } from './body-for-authorizer.ts';
import type { Decision, HeaderEdit } from './decision.ts';
import { CheckRequest, CheckResponse, type DeniedHttpResponse, type HeaderValueOption } from './gen/external-auth.ts';
import { isHeaderValue, mayTell, mayTouch, partialBodyHeader } from './header-rules.ts';
import { externalAuthMax, type ExternalAuthSettings } from './wire.ts';

/** The question of Envoy's protocol, and what its answer means. */
export function encodeCheck(x: Exchange, { requestHeaders, context, body: settings }: ExternalAuthSettings, body: BodyForAuthorizer | null): Uint8Array {
  const { head, connection } = x;
  const headers = headersOf(x, requestHeaders);
  const partial = body === null ? null : partialHeader(body);
  if (partial !== null) headers[partialBodyHeader] = partial;
  const raw = settings?.packAsBytes === true;
  const seconds = Math.floor(x.startedWallMs / 1000);
  return CheckRequest.encode({
    attributes: {
      source: { address: { socketAddress: { address: x.clientAddress, portValue: connection.peerPort } }, service: '', principal: connection.principal },
      destination: { address: { socketAddress: { address: connection.localAddress, portValue: connection.localPort } }, service: x.pin.owner, principal: '' },
      request: {
        time: { seconds: BigInt(seconds), nanos: Math.floor((x.startedWallMs - seconds * 1000) * 1_000_000) },
        http: { id: x.requestId, method: head.method, headers, path: head.target, host: head.authority, scheme: head.scheme, size: BigInt(head.bodyLength), protocol: 'HTTP/1.1', body: Buffer.from(body === null || raw ? noBytes : asUtf8(body.bytes)), rawBody: Buffer.from(body !== null && raw ? body.bytes : noBytes) },
      },
      contextExtensions: Object.fromEntries(context.map(({ name, value }) => [name, value])),
    },
  }).finish();
}

const noBytes = new Uint8Array(0);

/** Lower-case names; several values of one are joined, as the protocol wants. */
function headersOf({ head }: Exchange, wanted: readonly string[]): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>;
  headers[':authority'] = head.authority;
  headers[':method'] = head.method;
  headers[':path'] = head.target;
  headers[':scheme'] = head.scheme;
  head.forEach((name, value) => {
    const lower = name.toLowerCase();
    if (!mayTell(lower) || (wanted.length > 0 && !wanted.includes(lower))) return;
    const before = headers[lower];
    headers[lower] = before === undefined ? value : `${before},${value}`;
  });
  return headers;
}

export function readCheck(body: Uint8Array, denied: Answer, consumerHeader: string): Decision {
  let response: CheckResponse;
  try {
    response = CheckResponse.decode(body);
  } catch {
    return { kind: 'failed', problem: 'the answer is no CheckResponse' };
  }
  const { status, okResponse, deniedResponse } = response;
  // Contradictions are lies, or defects: they let nobody in.
  if (status === undefined) return { kind: 'failed', problem: 'the answer has no status' };
  if (status.code !== 0 || deniedResponse !== undefined) return { kind: 'denied', answer: denialOf(deniedResponse, status.message, denied) };
  const edits = [...(okResponse?.headersToRemove ?? []).map((name): HeaderEdit => ({ name: name.toLowerCase(), value: '', how: 'remove' })), ...editsOf(okResponse?.headers ?? [])];
  const toClient = editsOf(okResponse?.responseHeadersToAdd ?? []);
  if (edits.length > externalAuthMax.answerHeaders || toClient.length > externalAuthMax.answerHeaders) return { kind: 'failed', problem: `the answer has more than ${externalAuthMax.answerHeaders} headers` };
  const named = edits.find(({ name, how }) => name === consumerHeader && how !== 'remove');
  return { kind: 'allowed', edits: edits.filter(({ name }) => mayTouch(name)), toClient: toClient.filter(({ name }) => mayTouch(name)), consumer: named?.value ?? '' };
}

function editsOf(options: readonly HeaderValueOption[]): HeaderEdit[] {
  return options.flatMap(({ header, append, appendAction }): HeaderEdit[] => {
    if (header === undefined) return [];
    const value = header.value !== '' ? header.value : new TextDecoder('latin1').decode(header.rawValue);
    if (!isHeaderValue(value)) return [];
    const how = append?.value === true ? 'append' : append === undefined && appendAction === 1 ? 'add-if-absent' : append === undefined && appendAction === 3 ? 'set-if-present' : 'set';
    return [{ name: header.key.toLowerCase(), value, how }];
  });
}

function denialOf(response: DeniedHttpResponse | undefined, message: string, denied: Answer): Answer {
  const code = response?.status?.code ?? 0;
  const status = code >= 300 && code <= 599 ? code : denied.reason.status;
  const edits = editsOf(response?.headers ?? []).slice(0, externalAuthMax.answerHeaders).filter(({ name }) => mayTouch(name));
  const contentType = edits.find(({ name }) => name === 'content-type')?.value ?? 'text/plain';
  const body = response === undefined || response.body === '' ? null : new TextEncoder().encode(response.body.slice(0, externalAuthMax.answerBytes));
  return {
    ...denied, status, body, contentType: body === null ? '' : contentType, detail: message === '' ? denied.detail : `${denied.detail}: ${message.slice(0, 300)}`,
    fields: edits.filter((edit) => edit.name !== 'content-type' && canEdit(edit)).map(({ name, value }) => makeField(name, value)),
  };
}
