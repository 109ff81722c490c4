/**
 * What a Route asks of a request: all parts must hold, an empty part holds always. The same shape as the `Match` message;
 * `snapshot` decodes it, `model` makes it from documents.
 */
export interface RouteMatch {
  /** Exact or `*.suffix`, lower case, without port. Empty: any. */
  readonly hosts: readonly string[];
  readonly path: PathMatch | null;
  /** As on the wire: `GET`. */
  readonly methods: readonly string[];
  readonly headers: readonly ValueMatch[];
  readonly query: readonly ValueMatch[];
  readonly cookies: readonly ValueMatch[];
  readonly version: VersionMatch | null;
  readonly grpc: GrpcMatch | null;
}

export interface PathMatch {
  /**
   * `exact`: the whole canonical path. `prefix`: whole segments, so `/a` takes `/a` and `/a/b`, not `/ab`. `template`:
   * `/v1/{tenant}/orders/{id}`, where a last `{rest*}` takes what remains. `regex`: RE2 syntax over the whole path.
   */
  readonly kind: 'exact' | 'prefix' | 'template' | 'regex';
  readonly value: string;
}

/** A test of a header, query parameter or cookie. It holds where at least one of the values passes. */
export interface ValueMatch {
  readonly name: string;
  readonly kind: 'exact' | 'prefix' | 'regex' | 'present';
  /** '' for `present`. */
  readonly value: string;
  /** Holds where no value passes; with `present`: where there is none. */
  readonly invert: boolean;
}

/** The version that a request asks for, from one place. */
export interface VersionMatch {
  readonly value: string;
  readonly source:
    | { readonly kind: 'header' | 'query' | 'mediaTypeParameter'; readonly name: string }
    /** From 0. The segment is the value, or `v` and the value. */
    | { readonly kind: 'pathSegment'; readonly segment: number };
}

/** gRPC requests by the names in their path; '' for any. */
export interface GrpcMatch {
  readonly service: string;
  readonly method: string;
}

export const anyMatch: RouteMatch = Object.freeze({
  hosts: [], path: null, methods: [], headers: [], query: [], cookies: [], version: null, grpc: null,
});
