import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { issue } from './issue.ts';

/**
 * Name of a Service or Gateway: a DNS label, because it is used as a host name. 1 to 63 characters.
 */
export function hostName(): z.ZodString {
  return named(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'a name of lower-case letters, digits and -, at most 63 characters', 63);
}

/** Name of a Route or Policy: 1 to 127 characters. */
export function documentName(): z.ZodString {
  return named(/^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,125}[A-Za-z0-9_])?$/, 'a name of letters, digits, ., _ and -, at most 127 characters', 127);
}

/** Name of a port or listener: 1 to 31 characters. */
export function portName(): z.ZodString {
  return named(/^[a-z0-9](?:[a-z0-9-]{0,29}[a-z0-9])?$/, 'a port name of lower-case letters, digits and -, at most 31 characters', 31);
}

/** Labels as in Kubernetes: keys with an optional DNS prefix. */
export function labels(): z.ZodRecord<z.ZodString, z.ZodString> {
  const key = named(/^(?:[A-Za-z0-9.-]{1,253}\/)?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?$/, 'a label key such as version or app.example/tier', 317);
  const value = named(/^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?)?$/, 'a label value of letters, digits, ., _ and -, at most 63 characters', 63);
  return boundedRecord(key, value, { max: documentLimits.labels, what: 'labels' });
}

/** `api.shop.example`, `*.shop.example` or `*.local`. Any case; at most 253 characters. */
export function hostPattern(): z.ZodString {
  return named(/^(?:\*\.)?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/, 'a host such as api.example.com or *.example.com, without port', 253);
}

export function named(pattern: RegExp, expected: string, lengthMax: number): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (text.length <= lengthMax && pattern.test(text)) return;
    issue(context, 'invalid-name', `${JSON.stringify(text.slice(0, 80))} is not ${expected}`, expected);
  }).meta({ description: expected, pattern: pattern.source });
}

/** A map with a bound on its number of entries, named in the message. */
export function boundedRecord<K extends z.ZodString, V extends z.ZodType>(key: K, value: V, bounds: { readonly min?: number; readonly max: number; readonly what: string }): z.ZodRecord<K, V> {
  return z.record(key, value).superRefine((entries, context) => {
    const count = Object.keys(entries).length;
    if (count > bounds.max) issue(context, 'too-many', `has ${count} ${bounds.what}, at most ${bounds.max} are possible`);
    if (count < (bounds.min ?? 0)) issue(context, 'too-few', `needs at least ${bounds.min} of its ${bounds.what}`);
  });
}
