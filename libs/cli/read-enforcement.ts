import type { ApiClient } from './api-client.ts';
import { ApiProblem } from './api-client.ts';
import type { EnforcementAnswer } from './api-shapes.ts';

const pageSize = 1_000;

/** Who enforces a revision, all pages together; null where that is not known any more. */
export async function readEnforcement(api: ApiClient, revision: number): Promise<EnforcementAnswer | null> {
  const page = async (after: string | null): Promise<EnforcementAnswer> =>
    (await api.call({ method: 'GET', path: `/v1/revisions/${revision}/enforcement`, query: { limit: pageSize, ...(after === null ? {} : { after }) } })).body as EnforcementAnswer;
  try {
    let answer = await page(null);
    while (answer.next !== null) {
      const following = await page(answer.next);
      answer = { ...following, sidecars: [...answer.sidecars, ...following.sidecars] };
    }
    return answer;
  } catch (error) {
    if (error instanceof ApiProblem && (error.status === 404 || error.status === 410)) return null;
    throw error;
  }
}
