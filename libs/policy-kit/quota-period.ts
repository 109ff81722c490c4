/** One period of a quota in the calendar of its time zone. */
export interface QuotaPeriod {
  /** `2026-11`, `2026-11-22`, `2026-11-22T20`: the same for all who count it. */
  readonly label: string;
  /** Unix milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
}

export interface QuotaCalendar {
  readonly per: 'hour' | 'day' | 'month';
  /** Name of the IANA database. One that this build does not know counts as UTC. */
  readonly timeZone: string;
  /** Day of the month on which a month begins, 1 to 28. */
  readonly startsOn: number;
}

/** The period in which a moment lies; a day is as long as the zone says, 23 to 25 hours. Takes some microseconds: remember it until its end. */
export function quotaPeriod({ per, timeZone, startsOn }: QuotaCalendar, nowMs: number): QuotaPeriod {
  const now = localTime(timeZone, nowMs);
  switch (per) {
    case 'hour': {
      const startMs = nowMs - now.minute * 60_000 - now.second * 1_000 - modulo(nowMs, 1_000);
      // An hour that the end of summer time repeats is two periods.
      const offset = (now.asUtcMs - Math.floor(nowMs / 1_000) * 1_000) / 60_000;
      return { label: `${dayLabel(now)}T${two(now.hour)}${timeZone === 'UTC' ? '' : `${offset < 0 ? '-' : '+'}${Math.abs(offset)}`}`, startMs, endMs: startMs + 3_600_000 };
    }
    case 'day': return { label: dayLabel(now), startMs: midnight(timeZone, now.year, now.month, now.day), endMs: midnight(timeZone, now.year, now.month, now.day + 1) };
    case 'month': {
      const month = now.day >= startsOn ? now.month : now.month - 1;
      const first = new Date(Date.UTC(now.year, month - 1, 1));
      return {
        label: `${first.getUTCFullYear()}-${two(first.getUTCMonth() + 1)}`,
        startMs: midnight(timeZone, now.year, month, startsOn),
        endMs: midnight(timeZone, now.year, month + 1, startsOn),
      };
    }
  }
}

/** The period before. */
export function quotaPeriodBefore(calendar: QuotaCalendar, period: QuotaPeriod): QuotaPeriod {
  return quotaPeriod(calendar, period.startMs - 1);
}

/** How long after its end what was used in a period can still be asked for. */
export function quotaKeptMs(per: QuotaCalendar['per']): number {
  return { hour: 2, day: 40, month: 400 }[per] * 86_400_000;
}

/** What makes a quota's count one count in the store. */
export function quotaCountName({ consumer, plan, quota, period }: { readonly consumer: string; readonly plan: string; readonly quota: string; readonly period: string }): { readonly name: string; readonly identity: string } {
  return { name: `${plan}/${quota}/${consumer}/${period}`, identity: JSON.stringify([plan, quota, consumer, period]) };
}

interface LocalTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** The same figures read as UTC. */
  readonly asUtcMs: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();
/** Zones of all Plans; beyond, the table begins anew. */
const formatsMax = 64;

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    if (formats.size >= formatsMax) formats.clear();
    formats.set(timeZone, format = createFormat(timeZone));
  }
  return format;
}

function createFormat(timeZone: string): Intl.DateTimeFormat {
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' } as const;
  try {
    return new Intl.DateTimeFormat('en-US', { ...options, timeZone });
  } catch {
    return new Intl.DateTimeFormat('en-US', { ...options, timeZone: 'UTC' });
  }
}

function localTime(timeZone: string, ms: number): LocalTime {
  const parts = new Map(formatOf(timeZone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const part = (type: string): number => parts.get(type as Intl.DateTimeFormatPartTypes) ?? 0;
  const [year, month, day, hour, minute, second] = [part('year'), part('month'), part('day'), part('hour'), part('minute'), part('second')];
  return { year, month, day, hour, minute, second, asUtcMs: Date.UTC(year, month - 1, day, hour, minute, second) };
}

/** When a day begins; days beyond a month count on. Where midnight is left out, the first moment after it. */
function midnight(timeZone: string, year: number, month: number, day: number): number {
  const wanted = Date.UTC(year, month - 1, day);
  // What the zone is ahead by is looked up at the result of the first try: the offset may change in between.
  const first = wanted - aheadBy(timeZone, wanted);
  const second = wanted - aheadBy(timeZone, first);
  return localTime(timeZone, second).asUtcMs < wanted ? Math.max(first, second) : second;
}

function aheadBy(timeZone: string, ms: number): number {
  return localTime(timeZone, ms).asUtcMs - ms;
}

function dayLabel({ year, month, day }: LocalTime): string {
  return `${year}-${two(month)}-${two(day)}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}

function modulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}
