/**
 * How an attempt counts for the host it went to. Each one but `success` is a failure; the later ones include what the earlier ones are. `staleConnection`: a
 * connection that had served before broke before the answer.
 */
export const outcomes = { success: 0, serverError: 1, gatewayError: 2, localFailure: 3, staleConnection: 4 } as const;
export type AttemptOutcome = (typeof outcomes)[keyof typeof outcomes];

/**
 * Of an answer: 502, 503 and 504 are gateway errors, every other 5xx a server error. A gRPC answer counts by its code: UNAVAILABLE and DEADLINE_EXCEEDED
 * as gateway errors, UNKNOWN, INTERNAL and DATA_LOSS as server errors; the other codes are words of the application.
 */
export function outcomeOf(status: number, grpcStatus: number): AttemptOutcome {
  if (status >= 500) return status >= 502 && status <= 504 ? outcomes.gatewayError : outcomes.serverError;
  if (grpcStatus <= 0) return outcomes.success;
  if (grpcStatus === 14 || grpcStatus === 4) return outcomes.gatewayError;
  return grpcStatus === 2 || grpcStatus === 13 || grpcStatus === 15 ? outcomes.serverError : outcomes.success;
}
