import { z } from 'zod';

/**
 * Spellings of paths that are refused with 400 unless they are allowed here, for the mesh or for one service or gateway.
 * One canonical path serves matching, authorization and forwarding alike.
 */
export const pathRulesSchema = z.strictObject({
  allowEncodedSlash: z.boolean().optional().meta({ description: '%2F is part of a segment' }),
  allowBackslash: z.boolean().optional().meta({ description: 'backslashes are part of a segment' }),
  mergeSlashes: z.boolean().optional().meta({ description: '// counts as /' }),
  resolveDotSegments: z.boolean().optional().meta({ description: '/./ and /../ are resolved' }),
  allowSemicolon: z.boolean().optional().meta({ description: '; is part of a segment' }),
  allowEncodedControl: z.boolean().optional().meta({ description: '%01 to %1F and %7F are passed on as they are; %00 never' }),
});

export type PathRulesDocument = z.infer<typeof pathRulesSchema>;
