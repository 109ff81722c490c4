import type { ExchangeRun } from './exchange-run.ts';
import type { RewritePlan } from '../generation/places.ts';

/** What a route does to host and path before the request goes on; what the client asked for is kept for records. The result is canonical again: its parts are. */
export function rewriteRequest(run: ExchangeRun, plan: RewritePlan): void {
  const { head } = run;
  const path = rewrittenPath(run, plan);
  if (path !== head.path) {
    run.askedPath = head.path;
    head.setPath(path);
  }
  if (plan.rewrite.host !== '' && plan.rewrite.host !== head.authority) {
    run.askedAuthority = head.authority;
    head.setAuthority(plan.rewrite.host);
  }
}

export function rewrittenPath(run: ExchangeRun, { rewrite, prefix }: RewritePlan): string {
  const { path } = run.head;
  switch (rewrite.path?.kind) {
    case 'prefix':
      return joinPath(rewrite.path.value, path.slice(prefix === '/' ? 0 : prefix.length));
    case 'template':
      return fillTemplate(rewrite.path.value, run);
    case 'stripSegments':
      return stripSegments(path, rewrite.path.segments);
    case undefined:
      return path;
  }
}

/** `/api/` and `/orders` become `/api/orders`. */
function joinPath(prefix: string, rest: string): string {
  const start = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  const joined = rest === '' || rest.startsWith('/') ? start + rest : `${start}/${rest}`;
  return joined === '' ? '/' : joined;
}

function stripSegments(path: string, segments: number): string {
  let at = 0;
  for (let i = 0; i < segments && at >= 0; i++) at = path.indexOf('/', at + 1);
  return at < 0 ? '/' : path.slice(at);
}

/** `${path.name}` becomes what the route's match captured. */
function fillTemplate(template: string, { pathNames, pathValues }: ExchangeRun): string {
  let filled = '';
  let at = 0;
  for (;;) {
    const open = template.indexOf('${path.', at);
    const close = open < 0 ? -1 : template.indexOf('}', open);
    if (close < 0) return ensureSlash(filled + template.slice(at));
    const index = pathNames.indexOf(template.slice(open + 7, close));
    filled += template.slice(at, open) + (index < 0 ? '' : (pathValues[index] ?? ''));
    at = close + 1;
  }
}

function ensureSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}
