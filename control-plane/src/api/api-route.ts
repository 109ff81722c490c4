import type { JsonObject } from '@remora/core/canonical-json';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Access } from '../operators/access.ts';
import type { RouteRight } from '../operators/route-right.ts';

/**
 * One path of the API. The same record registers the handler, validates what comes in, and becomes the page of OpenAPI:
 * neither can have what the other lacks.
 */
export interface ApiRoute<P extends z.ZodObject = z.ZodObject, Q extends z.ZodObject = z.ZodObject> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As OpenAPI writes it: `/v1/revisions/{n}`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  /** Who may use it. */
  readonly right: RouteRight;
  readonly summary: string;
  readonly description?: string;
  readonly params?: P;
  readonly query?: Q;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: { readonly kind: 'documents' | 'json'; readonly maxBytes: number; readonly description: string; readonly schema?: z.ZodType };
  readonly answers: Readonly<Record<number, ApiAnswerShape>>;
  /**
   * What the audit log says of it. `call` (default for everything but GET that needs more than a viewer): that it was done, with
   * what `audit` of the reply tells. `revision`: the revision's own entry, in its transaction. `none`: it changes nothing.
   */
  readonly audit?: 'call' | 'revision' | 'none';
  /** Problem codes it can answer with, beyond those that every path can. */
  readonly problems?: readonly string[];
  handle(call: ApiCall<z.output<P>, z.output<Q>>): ApiReply | Promise<ApiReply>;
}

export interface ApiAnswerShape {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
}

export interface ApiCall<P = Readonly<Record<string, unknown>>, Q = Readonly<Record<string, unknown>>> {
  readonly params: P;
  readonly query: Q;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly header: (name: string) => string | undefined;
  /** Who asks, and what they may. */
  readonly access: Access;
  /** Who writes: proven, or claimed where the API asks nobody. */
  readonly author: string;
  /** Client's address. */
  readonly address: string;
  /** Whether whoever was let in still may be: an answer that goes on for long asks again. */
  readonly stillGood: () => boolean;
  /** Path and query as received: what an idempotency key is bound to. */
  readonly target: string;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** `stream`: the handler has taken the socket over and answers by itself. */
export type ApiReply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown; readonly contentType?: string; /** Facts for the audit log: ids and names, never a secret. */ readonly audit?: JsonObject }
  | 'stream';

/** Keeps the types of params and query inside a route, and drops them in the list of all routes. */
export function apiRoute<P extends z.ZodObject, Q extends z.ZodObject>(route: ApiRoute<P, Q>): ApiRoute {
  return route;
}
