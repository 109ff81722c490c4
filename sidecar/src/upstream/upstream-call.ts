import type { Head } from '@remora/http/head';
import type { AttemptBudget } from '@remora/policy-kit/attempt-budget';
import type { ConnectionRoom } from '@remora/policy-kit/connection-room';
import type { Call, Exchange, Source, Target } from '@remora/policy-kit/exchange';
import type { Balancer, Host, HostSet, HostWatch } from '@remora/policy-kit/hosts';

/** The call as the engine hands it to the outermost layer. */
export class UpstreamCall implements Call {
  readonly x: Exchange;
  head: Head;
  body: Source;
  deadlineAt: number;
  attempt = 1;
  connectTimeoutMs = 0;
  headersTimeoutMs = 0;
  perTryTimeoutMs = 0;
  idleTimeoutMs = 0;
  tunnelIdleMs = 0;
  maxStreamMs = 0;
  reused = false;
  refusable = false;
  target: Target;
  avoid: string[] = none;
  endpoint = '';
  host: Host | null = null;
  hosts: HostSet | null = null;
  balancer: Balancer | null = null;
  watch: HostWatch | null = null;
  budget: AttemptBudget | null = null;
  room: ConnectionRoom | null = null;
  detour = false;

  constructor(x: Exchange, body: Source, target: Target) {
    this.x = x;
    this.head = x.head;
    this.body = body;
    this.deadlineAt = x.deadlineAt;
    this.target = target;
  }
}

/** Layers replace the list, they do not add to it. */
const none: string[] = Object.freeze([]) as unknown as string[];
