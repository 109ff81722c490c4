/**
 * Where a browser goes after its login: the path and query that it asked for, on the same origin. Whatever a browser could read as another origin (`//host`,
 * `/\host`), or drop characters of, is `/`.
 */
export function returnTarget(target: string): string {
  if (target.length > targetMax || !target.startsWith('/') || target.startsWith('//')) return '/';
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f || code === 0x5c) return '/';
  }
  return target;
}

const targetMax = 1024;
