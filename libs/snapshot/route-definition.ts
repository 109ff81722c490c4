import type { RouteMatch } from '@remora/router/match';
import type { EffectiveSettings } from './effective-settings.ts';

/** A Route as one sidecar runs it. */
export interface RouteDefinition {
  readonly hash: string;
  /** `gateway/edge/orders-api`: scope, owner and name. */
  readonly id: string;
  readonly name: string;
  /** The service (inbound, outbound) or gateway whose Route it is. */
  readonly owner: string;
  readonly scope: RouteScope;
  /** Port names (inbound, outbound) or listener names (gateway); empty: all of HTTP kind. */
  readonly ports: readonly string[];
  readonly priority: number;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  readonly rewrite: RouteRewrite | null;
  /** Provider-side for inbound and gateway, caller-side for outbound. */
  readonly settings: EffectiveSettings;
  /** Gateway only: caller-side settings where they differ from what destination or outbound Route say. */
  readonly callerOverrides: readonly CallerSettings[];
}

export type RouteScope = 'inbound' | 'outbound' | 'gateway';

export interface CallerSettings {
  readonly service: string;
  /** Route of that service; '' where none matched. */
  readonly route: string;
  readonly settings: EffectiveSettings;
}

export type RouteAction =
  /** `stickyHeader`: its value decides among the targets, not chance; lower case, '' none. */
  | { readonly kind: 'forward'; readonly targets: readonly ForwardTarget[]; readonly stickyHeader: string }
  | {
      readonly kind: 'redirect';
      readonly status: number;
      /** '' keeps what the request has; port 0 likewise. */
      readonly scheme: string;
      readonly host: string;
      readonly port: number;
      readonly rewrite: RouteRewrite | null;
      readonly keepQuery: boolean;
    }
  | {
      readonly kind: 'respond';
      readonly status: number;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
      readonly body: Uint8Array;
      readonly contentType: string;
      readonly delayMs: number;
    };

export interface ForwardTarget {
  /** Gateway scope: the destination. Otherwise '': the owner itself. */
  readonly service: string;
  /** Port name; '': `http` or the only one. */
  readonly port: string;
  /** As `key=value`, sorted. */
  readonly labels: readonly string[];
  readonly weight: number;
}

export interface RouteRewrite {
  /** null: the path stays. */
  readonly path:
    | { readonly kind: 'prefix' | 'template'; readonly value: string }
    | { readonly kind: 'stripSegments'; readonly segments: number }
    | null;
  /** '' keeps it. */
  readonly host: string;
}
