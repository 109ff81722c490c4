/** One caller of an inbound port, as it is counted. */
export interface CallerName {
  readonly port: string;
  /** Showed a certificate of the mesh. */
  readonly mtls: boolean;
  /** Path of its SPIFFE id (`service/web`), the whole id where it is of another trust domain; without a certificate its address. */
  readonly peer: string;
}

/** As the shared memory of a thread keeps it. */
export function formatCallerName({ port, mtls, peer }: CallerName): string {
  return `${mtls ? 'm' : 'p'}${port}/${peer}`;
}

/** null for callers beyond the bound, which are told apart no more. */
export function parseCallerName(text: string): CallerName | null {
  const slash = text.indexOf('/');
  if (slash < 1 || (text[0] !== 'm' && text[0] !== 'p')) return null;
  return { port: text.slice(1, slash), mtls: text[0] === 'm', peer: text.slice(slash + 1) };
}

/** A host that the app called and no document declares. */
export function formatUnknownName(authority: string): string {
  return `u/${authority}`;
}

/** null for anything else. */
export function parseUnknownName(text: string): string | null {
  return text.startsWith('u/') ? text.slice(2) : null;
}

/** Stands for hosts beyond the bound, and for what is no host. */
export const otherHosts = '_other';
