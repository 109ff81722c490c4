import { z } from 'zod';

/** `GET /v1/suggestions`. */
export const suggestionListShape = z.object({
  items: z.array(z.object({
    service: z.string().describe('Who called'),
    host: z.string().describe('As its app wrote it; `_other` stands for those beyond the bound'),
    requests: z.number(),
    lastAt: z.string(),
    dependsOn: z.string().nullable().describe('The Service of that name, to be declared in `dependsOn`; null where there is none'),
  })),
});
