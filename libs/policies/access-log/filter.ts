import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { WireError, type FilterContext, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { compileLine } from './line-writer.ts';
import { compileAll, compileAny, compilePaths, type ExchangeTest } from './log-condition.ts';
import { accessLogWire, type AccessLogSettings } from './wire.ts';

/** Writes one line per request, after its end. */
export const accessLogRuntime: RuntimeKind<AccessLogSettings> = {
  ...accessLogWire,
  side: 'provider',
  tcp: true,
  edge: makeAccessLogFilter,
};

function makeAccessLogFilter(settings: AccessLogSettings, context: FilterContext): EdgeFilter | null {
  const write = openTarget(settings, context);
  const line = compileLine(settings, { random: context.random, clock: context.clock });
  const wanted = compileWanted(settings, context);
  if (wanted === null) return { kind: 'accessLog', complete: (x) => write(line(x)) };
  return {
    kind: 'accessLog',
    complete(x) {
      if (wanted(x)) write(line(x));
    },
  };
}

function openTarget(settings: AccessLogSettings, context: FilterContext): (text: string) => void {
  if (settings.file === null) return (text) => context.log(text);
  if (context.openLog === undefined) throw new WireError('/output', 'not-available', 'this sidecar writes its access log to standard output only');
  return context.openLog(settings.file);
}

/** Whether a request is written; null where every one is. */
function compileWanted(settings: AccessLogSettings, context: FilterContext): ExchangeTest | null {
  const elapsedMs = (x: Exchange): number => (x.endedAt === 0 ? context.clock.monotonicMs() : x.endedAt) - x.startedAt;
  const only = settings.only === null ? null : compileAll(settings.only, elapsedMs);
  const always = settings.always === null ? null : compileAny(settings.always, elapsedMs);
  const except = compilePaths(settings.exceptPaths);
  const { sampling } = settings;
  if (only === null && except === null && sampling >= 1) return null;
  return (x) => {
    if (except !== null && except(x)) return false;
    if (only !== null && !only(x)) return false;
    return sampling >= 1 || (always !== null && always(x)) || context.random.next() < sampling;
  };
}
