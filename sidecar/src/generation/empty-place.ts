import type { Place } from './places.ts';

/** A place that nothing was compiled for: of requests that no port, or none yet, has taken. */
export function emptyPlace(side: Place['side']): Place {
  return { side, route: '', owner: '', filters: [], slotCount: 0, settings: { hash: '', sections: [] }, series: null, pin: null, liveKeys: [] };
}
