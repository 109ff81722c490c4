import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { controlPlaneProfile } from '@remora/identity/certificate-profile';
import { issueCertificate } from '@remora/identity/issue-certificate';
import { certificatePem } from '@remora/identity/pem';
import { renewalTimeMs } from '@remora/identity/renewal-time';
import type { AuthorityKeeper } from './authority-keeper.ts';
import { authorityEndsMs } from './signing-authority.ts';

/** What a TLS server of the control plane shows, and whom it trusts. PEM. */
export interface ServerMaterial {
  readonly key: Buffer;
  /** Leaf, intermediates and root: the first contact of a sidecar looks for the root whose pin is in its token. */
  readonly certificates: Buffer;
  readonly roots: Buffer;
  readonly endsMs: number;
}

/** Looked at this often too: a clock that stepped moves no timer. */
const checkEveryMs = 60_000;

/** The control plane's own certificate: never stored, made anew at each start, at half its life and when the authority changed. */
export class ServerCertificate {
  readonly #deps: { readonly keeper: AuthorityKeeper; readonly clock: Clock; readonly timers: Timers; readonly random: Random };
  readonly #listeners = new Set<(material: ServerMaterial) => void>();
  readonly #timer: Timer;
  #material: ServerMaterial;
  #renewAtMs = 0;

  constructor(deps: { readonly keeper: AuthorityKeeper; readonly clock: Clock; readonly timers: Timers; readonly random: Random }) {
    this.#deps = deps;
    this.#material = this.#make();
    deps.keeper.onChange(() => this.#renew());
    this.#timer = deps.timers.every(checkEveryMs, () => {
      const nowMs = deps.clock.wallMs();
      if (nowMs >= this.#renewAtMs || nowMs >= this.#material.endsMs) this.#renew();
    });
  }

  get material(): ServerMaterial {
    return this.#material;
  }

  /** Told of each new one; until `unsubscribe`. */
  subscribe(listener: (material: ServerMaterial) => void): { unsubscribe(): void } {
    this.#listeners.add(listener);
    return { unsubscribe: () => void this.#listeners.delete(listener) };
  }

  close(): void {
    this.#timer.cancel();
    this.#listeners.clear();
  }

  #renew(): void {
    this.#material = this.#make();
    for (const listener of this.#listeners) listener(this.#material);
  }

  #make(): ServerMaterial {
    const { keeper, clock, random } = this.#deps;
    const authority = keeper.serving;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const profile = controlPlaneProfile({ trustDomain: authority.trustDomain, nowMs: clock.wallMs(), authorityEndsMs: authorityEndsMs(authority) });
    const leaf = issueCertificate(profile, publicKey.export({ type: 'spki', format: 'der' }), { certificate: authority.issuer, key: authority.key });
    this.#renewAtMs = renewalTimeMs({ fromMs: profile.notBeforeMs, toMs: profile.notAfterMs }, random);
    return {
      key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
      certificates: pem([leaf, ...authority.intermediates, ...authority.roots]),
      roots: pem(authority.roots),
      endsMs: profile.notAfterMs,
    };
  }
}

function pem(certificates: readonly X509Certificate[]): Buffer {
  return Buffer.from(certificates.map(({ raw }) => certificatePem(raw)).join(''));
}
