import type { EdgeFilter, Exchange, Sink, Source } from '@remora/policy-kit/exchange';
import type { BodyJoint } from './body-joint.ts';

/** Through the filters that asked for the request body, the first one outermost, to where the call takes it. */
export function requestChain(filters: readonly EdgeFilter[], x: Exchange & Source, joint: BodyJoint, innermost: Sink): Sink {
  let sink: Sink = joint.before(innermost);
  for (let i = filters.length - 1; i >= 0; i--) {
    const filter = filters[i] as EdgeFilter;
    if ((x.wantsRequestBody & (1 << i)) !== 0 && filter.requestBody !== undefined) sink = filter.requestBody(x, sink);
  }
  sink.bind(x);
  return sink;
}

/** Through the filters that asked for the response body: the last one sees it first. */
export function responseChain(filters: readonly EdgeFilter[], x: Exchange, outermost: Sink): Sink {
  let sink = outermost;
  for (let i = 0; i < filters.length; i++) {
    const filter = filters[i] as EdgeFilter;
    if ((x.wantsResponseBody & (1 << i)) !== 0 && filter.responseBody !== undefined) sink = filter.responseBody(x, sink);
  }
  return sink;
}
