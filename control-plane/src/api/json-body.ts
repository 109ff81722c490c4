import { suggest } from '@remora/core/suggest';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { documentLimits } from '@remora/model/document-limits';
import { readJson } from '@remora/model/json-reader';
import type { z } from 'zod';
import { ApiError } from './problem.ts';

/** Reads a JSON body that is no document: bounded in depth, without duplicate names, all that is wrong at once. */
export function readJsonBody<T extends z.ZodObject>(schema: T, bytes: Uint8Array): z.output<T> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError('bad-request', 'the body is not UTF-8');
  }
  const json = readJson(text, documentLimits);
  if (!json.ok) throw new ApiError('bad-request', `the body ${json.message} (at character ${json.offset})`);
  const result = schema.safeParse(json.value);
  if (result.success) return result.data;
  const violations = result.error.issues.flatMap((issue): Violation[] => {
    const pointer = joinPointer('', ...issue.path.map((part) => (typeof part === 'symbol' ? '' : part)));
    if (issue.code !== 'unrecognized_keys') return [{ document: 'body', pointer, code: 'bad-parameter', message: issue.message }];
    return issue.keys.map((key) => {
      const near = suggest(key, Object.keys(schema.shape));
      return { document: 'body', pointer: joinPointer(pointer, key), code: 'unknown-field', message: `there is no field ${key} here`, ...(near ? { suggestion: near } : {}) };
    });
  });
  throw new ApiError('bad-parameter', violations.map(({ pointer, message }) => `${pointer}: ${message}`).join('; '), { violations });
}
