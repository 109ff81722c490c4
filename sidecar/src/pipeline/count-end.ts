import { httpStatusOfGrpc } from '@remora/http/grpc-status';
import type { SeriesRow } from '../records/series-rows.ts';
import type { ExchangeRun } from './exchange-run.ts';

/** Counts an exchange that has ended. The life of a tunnel is no latency: there it is the time to the switch. Its bytes were counted as they passed. */
export function countEnd(row: SeriesRow, x: ExchangeRun, wasTunnel: boolean): void {
  const retries = x.attempts > 1 ? x.attempts - 1 : 0;
  if (x.grpcStatus >= 0) row.grpcEnded(x.grpcStatus);
  if (wasTunnel) row.ended(x.status, x.answeredAt - x.startedAt, 0, 0, retries);
  else row.ended(x.grpcStatus > 0 ? httpStatusOfGrpc(x.grpcStatus) : x.status, x.endedAt - x.startedAt, x.bytesIn, x.bytesOut, retries);
}

/** Whether somebody else failed at it: the instance answered so, or a fallback stood in. Nothing is looked at where all went well. */
export function passedOnFailure({ tries, status, grpcStatus, fallback, upstream }: ExchangeRun): boolean {
  if (tries !== null && (status >= 500 || fallback !== '')) return true;
  return grpcStatus > 0 && upstream !== '' && httpStatusOfGrpc(grpcStatus) >= 500;
}
