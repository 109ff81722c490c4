import type { JsonObject } from '@remora/core/canonical-json';
import { headerName, oneOf, ratio } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { acceptWords, echoWords, formatWords, traceWords, type AcceptWord, type EchoWord, type FormatWord, type TraceWord } from './wire.ts';

/** `requestId` as authored. */
export const requestIdSchema = z.strictObject({
  header: headerName().optional(),
  format: oneOf(formatWords).optional(),
  accept: oneOf(acceptWords).optional(),
  echo: oneOf(echoWords).optional(),
  traceContext: oneOf(traceWords).optional(),
  traceSampling: ratio().optional(),
});

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveRequestId {
  readonly header: string;
  readonly format: FormatWord;
  readonly accept: AcceptWord;
  readonly echo: EchoWord;
  readonly traceContext: TraceWord;
  readonly traceSampling: string | number;
}

export const requestIdDefaults: JsonObject = {
  header: 'x-request-id',
  format: 'uuid4',
  accept: 'trusted',
  echo: 'refusals',
  traceContext: 'make',
  traceSampling: '100%',
};
