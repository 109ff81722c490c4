import type { FailureReason } from './failure-reason.ts';

/** What happened on a connection, for metrics and admin. Plain numbers; the owner reads them when it likes. */
export class SessionCounters {
  framesIn = 0;
  framesOut = 0;
  streamsOpened = 0;
  /** Streams that the peer reset. */
  resetsIn = 0;
  /** Streams that we reset. */
  resetsOut = 0;
  /** Streams refused without being looked at. */
  refused = 0;
  pingsIn = 0;
  pingsOut = 0;
  /** Body bytes without framing and padding. */
  dataBytesIn = 0;
  dataBytesOut = 0;
  /** Body bytes held now because consumers do not take them, and the most there ever were. */
  heldBytes = 0;
  heldBytesPeak = 0;
  /** Body bytes queued now because the peer has no window for them, and the most there ever were. */
  queuedBytes = 0;
  queuedBytesPeak = 0;
  /** Stream errors and refusals by reason; only reasons that occurred. */
  readonly streamErrors = new Map<FailureReason, number>();

  countStreamError(reason: FailureReason): void {
    this.streamErrors.set(reason, (this.streamErrors.get(reason) ?? 0) + 1);
  }
}
