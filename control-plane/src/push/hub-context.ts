import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import type { AcceptedManifests } from './accepted-manifests.ts';
import type { DeltaPlans } from './delta-plans.ts';
import type { DesiredContent } from './desired-content.ts';
import type { DrainBarrier } from './drain-barrier.ts';
import type { EncodedMessages } from './encoded-messages.ts';
import type { EndpointViews } from './endpoint-views.ts';
import type { EnforcementLedger } from './enforcement-ledger.ts';
import type { PushEvent } from './push-hub.ts';
import type { PushLimits } from './push-limits.ts';
import type { PushMetrics } from './push-metrics.ts';
import type { RefusalMemory } from './refusal-memory.ts';
import type { StateMessages } from './state-messages.ts';
import type { SubjectItems } from './subject-items.ts';

/** What every session of a hub shares. */
export interface HubContext {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly limits: PushLimits;
  readonly metrics: PushMetrics;
  readonly authenticated: boolean;
  readonly registry: InstanceRegistry;
  readonly content: DesiredContent;
  readonly views: EndpointViews;
  readonly items: SubjectItems;
  readonly messages: EncodedMessages;
  readonly plans: DeltaPlans;
  readonly stateMessages: StateMessages;
  readonly refusals: RefusalMemory;
  readonly accepted: AcceptedManifests;
  readonly ledger: EnforcementLedger;
  readonly barrier: DrainBarrier;
  emit(event: PushEvent): void;
}
