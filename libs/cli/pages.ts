import type { ApiClient, ApiQuestion } from './api-client.ts';
import type { Page } from './api-shapes.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

/** Where a paged list is, and how its pages are asked for. */
export interface PagedList {
  readonly path: string;
  readonly query?: ApiQuestion['query'];
  /** Query parameter that takes `next` of the page before. */
  readonly cursor: 'after' | 'before';
  /** At most this many items. Default 100,000: what is beyond needs a filter. */
  readonly limit?: number;
}

const itemsMax = 100_000;
const pageSize = 500;

/** All items of a paged list, page after page. */
export async function readPages<Item>(api: ApiClient, list: PagedList): Promise<Item[]> {
  const limit = list.limit ?? itemsMax;
  const items: Item[] = [];
  let next: string | undefined;
  do {
    const query = { ...list.query, limit: Math.min(pageSize, limit - items.length), [list.cursor]: next };
    const { body } = await api.call({ method: 'GET', path: list.path, query });
    const page = body as Page<Item>;
    if (!Array.isArray(page.items)) throw new CommandFailure(exitCodes.serverFailed, `${list.path}: the answer is no list`);
    items.push(...page.items);
    next = page.next ?? undefined;
  } while (next !== undefined && items.length < limit);
  return items;
}
