import { reasons, type Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import { traceIdOf } from '@remora/policy-kit/trace-id';
import { policiesBehind, policiesOfField, type EffectiveSection, type EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { failureChain } from '../records/failure-chain.ts';
import { grpcAnswerType } from './grpc-answer.ts';
import { encodeAnswer, type EncodedAnswer } from './answer-encoding.ts';
import type { ExchangeRun } from './exchange-run.ts';

/** A refusal or failure that the data path itself found. `detail` is shown to trusted callers only; no secrets. */
export function answerFor(reason: Reason, detail: string): Answer {
  return { reason, status: reason.status, fields: noFields, body: null, contentType: '', detail, kind: '', pointer: '' };
}

/** Of a limit that the data path itself enforces: `pointer` leads to its field in the kind's section. */
export function limitAnswer(reason: Reason, kind: string, pointer: string, detail: string, fields: Answer['fields'] = noFields): Answer {
  return { ...answerFor(reason, detail), kind, pointer, fields };
}

/** A filter threw: it could not decide, so the exchange is refused. */
export function filterFailure(kind: string, error: unknown): Answer {
  return { ...answerFor(reasons.filterFailed, error instanceof Error ? error.message : String(error)), kind };
}

/** What the client gets of an answer: problem+json or a gRPC status, with more for trusted callers. */
export function encodeFor(run: ExchangeRun, answer: Answer, hop: string, wallMs: number): EncodedAnswer {
  return encodeAnswer(answer, {
    requestId: run.requestId,
    trusted: run.connection.trusted,
    grpc: grpcAnswerType(run.head),
    policy: refusalPolicy(run, answer),
    caller: run.connection.principal,
    version: run.pin.configVersion,
    hop,
    wallMs,
  });
}

/** When it happened, by both clocks. */
export interface RecordMoment {
  readonly atMs: number;
  readonly nowMs: number;
  readonly shadow: boolean;
  /** Without the chain of hosts. */
  readonly short: boolean;
}

/** One line of the ring that `why` reads. `shadow`: the request went on. */
export function refusalRecord(run: ExchangeRun, answer: Answer, { atMs, nowMs, shadow, short }: RecordMoment): RefusalRecord {
  const { head } = run;
  const chain = shadow || short ? null : failureChain(run, atMs, nowMs);
  const pin = run.revokedBy ?? run.pin;
  return {
    requestId: run.requestId,
    atMs,
    side: pin.side,
    method: head.method.slice(0, shownMax),
    authority: (run.askedAuthority ?? head.authority).slice(0, shownMax),
    path: (run.askedPath ?? head.path).slice(0, shownMax),
    route: pin.route,
    destination: run.destination,
    target: run.target?.subset ?? '',
    status: shadow ? 0 : run.status,
    reason: answer.reason.code,
    responseFlag: answer.reason.flag,
    kind: answer.kind,
    pointer: answer.pointer,
    policy: refusalPolicy(run, answer),
    configVersion: pin.configVersion,
    configHash: pin.configHash,
    detail: answer.detail.slice(0, shownMax),
    clientAddress: run.clientAddress,
    traceId: traceIdOf(run),
    shadow,
    ...(chain !== null && { chain }),
  };
}

/** Of a failure that was passed on: nobody here refused anything. */
export function relayedRecord(run: ExchangeRun, atMs: number, nowMs: number): RefusalRecord {
  return { ...refusalRecord(run, relayed, { atMs, nowMs, shadow: false, short: false }), reason: '', responseFlag: '' };
}

const relayed: Answer = { reason: reasons.upstreamReset, status: 0, fields: [], body: null, contentType: '', detail: '', kind: '', pointer: '' };

/** Which policies decided, by the pointer of the refusal; '' where none did. Limits of the data path that no policy sets are defaults. */
export function refusalPolicy(run: ExchangeRun, { kind, pointer, reason }: Answer): string {
  if (kind === '') return '';
  const section = sectionOf((run.revokedBy ?? run.pin).place.settings, kind) ?? (run.caller === null ? undefined : sectionOf(run.caller.settings, kind));
  if (section === undefined) return '';
  const policies = reason.origin === 'policy' ? policiesBehind(section.origins, pointer) : policiesOfField(section.origins, pointer);
  return policies.join(', ');
}

function sectionOf({ sections }: EffectiveSettings, kind: string): EffectiveSection | undefined {
  return sections.find((one) => one.kind === kind);
}

const noFields: Answer['fields'] = Object.freeze([]);
const shownMax = 512;
