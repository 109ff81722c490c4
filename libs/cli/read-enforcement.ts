import type { ApiClient } from './api-client.ts';
import { ApiProblem } from './api-client.ts';
import type { EnforcementAnswer } from './api-shapes.ts';

/** Who enforces a revision; null where that is not known any more. */
export async function readEnforcement(api: ApiClient, revision: number): Promise<EnforcementAnswer | null> {
  try {
    return (await api.call({ method: 'GET', path: `/v1/revisions/${revision}/enforcement` })).body as EnforcementAnswer;
  } catch (error) {
    if (error instanceof ApiProblem && (error.status === 404 || error.status === 410)) return null;
    throw error;
  }
}
