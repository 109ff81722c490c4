import type { UpstreamTls } from '@remora/snapshot/snapshot';
import { UpstreamSecurity, type UpstreamSecurityDeps } from './upstream-security.ts';

/** How upstreams are secured, on one data thread: one object for equal settings, as long as a snapshot has them, so that sessions outlive edits of other things. */
export class UpstreamSecurities {
  readonly #deps: UpstreamSecurityDeps;
  /** By settings as text. */
  readonly #known = new Map<string, WeakRef<UpstreamSecurity>>();

  constructor(deps: UpstreamSecurityDeps) {
    this.#deps = deps;
  }

  for(settings: UpstreamTls): UpstreamSecurity {
    const text = JSON.stringify(settings);
    const known = this.#known.get(text)?.deref();
    if (known !== undefined) return known;
    for (const [key, kept] of this.#known) if (kept.deref() === undefined) this.#known.delete(key);
    const made = new UpstreamSecurity(settings, this.#deps);
    this.#known.set(text, new WeakRef(made));
    return made;
  }
}
