import type { ServiceAnswer } from './services/service.ts';

/** The services that had a part in an answer, from the outside in: `web v1`, `orders v2`, `payments v1`. */
export function hopsOf(text: string): readonly string[] {
  const hops: string[] = [];
  let level: unknown = parse(text);
  while (isAnswer(level)) {
    hops.push(`${level.service} ${level.version}`);
    level = level.below;
  }
  return hops;
}

/** What the innermost hop answered, where that was no service of the shop: a refusal. */
export function innermost(text: string): unknown {
  let level: unknown = parse(text);
  while (isAnswer(level)) level = level.below;
  return level;
}

function isAnswer(value: unknown): value is ServiceAnswer {
  return typeof value === 'object' && value !== null && typeof (value as Partial<ServiceAnswer>).service === 'string';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
