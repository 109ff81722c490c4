import type { JsonObject } from '@remora/core/canonical-json';
import type { AuditLog } from '../audit/audit-log.ts';
import type { RouteRight } from '../operators/route-right.ts';
import { actorOf } from '../operators/principal.ts';
import type { ApiCall, ApiRoute } from './api-route.ts';

/**
 * A route whose success is in the audit log, on the disk, before it is answered. A read is noted only where its reply has facts
 * for it (an inspection of secrets).
 */
export function audited(route: ApiRoute, log: AuditLog): ApiRoute {
  const always = auditOf(route) === 'call';
  return {
    ...route,
    async handle(call) {
      const reply = await route.handle(call);
      if (reply === 'stream' || (!always && reply.audit === undefined)) return reply;
      await log.append({ action: route.operationId, actor: actorOf(call.access.principal), from: call.address, outcome: 'done', what: { ...paramsOf(call), ...reply.audit } });
      return reply;
    },
  };
}

/** What a route's success writes: everything but reads does, whether its author thought of it or not. */
export function auditOf({ method, right, audit }: Pick<ApiRoute, 'method' | 'audit'> & { readonly right?: RouteRight }): 'call' | 'revision' | 'none' {
  if (audit !== undefined) return audit;
  return method === 'GET' || right === 'open' || right?.role === 'viewer' ? 'none' : 'call';
}

function paramsOf({ params }: ApiCall): JsonObject {
  return Object.fromEntries(Object.entries(params).filter((entry): entry is [string, string | number] => typeof entry[1] === 'string' || typeof entry[1] === 'number'));
}
