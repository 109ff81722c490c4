import type { Head } from '@remora/http/head';
import type { Call, Exchange, Source } from './exchange.ts';

/** A call that a layer makes in place of, or beside, the one that it was given: nothing of what that one has met is left, and it is not sent elsewhere again. */
export function freshCall(call: Call, x: Exchange, head: Head, body: Source): Call {
  return {
    ...call, x, head, body, attempt: 1, connectTimeoutMs: 0, headersTimeoutMs: 0, perTryTimeoutMs: 0, idleTimeoutMs: 0, tunnelIdleMs: 0, maxStreamMs: 0, reused: false, refusable: false,
    avoid: [], endpoint: '', host: null, hosts: null, balancer: null, watch: null, budget: null, room: null, detour: true,
  };
}
