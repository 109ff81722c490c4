import type { Layer } from '@remora/policy-kit/exchange';
import type { Balancer } from '@remora/policy-kit/hosts';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { HostBalancer, type BalancerContext } from './host-balancer.ts';
import { StickySessions } from './sticky-sessions.ts';
import { loadBalancingWire, usualLoadBalancing, type LoadBalancingSettings } from './wire.ts';

/** Names who chooses the host of each attempt. Where there is no section, the data path asks `createUsualBalancer`'s. */
export const loadBalancingRuntime: RuntimeKind<LoadBalancingSettings> = {
  ...loadBalancingWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: createLayer,
};

/** Chooses where no policy says otherwise: peak EWMA with the defaults of the section. */
export function createUsualBalancer(context: BalancerContext): Balancer {
  return new HostBalancer(usualLoadBalancing, context, null);
}

function createLayer(settings: LoadBalancingSettings, context: FilterContext): Layer {
  const sticky = settings.sticky === null ? null : new StickySessions(settings.sticky);
  const balancer = new HostBalancer(settings, context, sticky);
  return (next) => (call, response) => {
    call.balancer = balancer;
    return next(call, sticky === null || call.head.protocol === 'tcp' ? response : sticky.watch(call, response));
  };
}
