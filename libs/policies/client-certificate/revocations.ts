import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import { crlKind, decodeCrls, hasSerial, type CrlFacts } from '@remora/policy-kit/crl-facts';
import type { FactBook } from '@remora/policy-kit/facts';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';

/** `unknown`: nothing says that it is good, because a file is missing, no list is of its authority, or the list's time is over. */
export type RevocationVerdict = 'good' | 'revoked' | 'unknown';

interface Judged {
  readonly version: number;
  readonly revoked: boolean;
  /** Until then a list vouches for it; -1 where none is of its authority. */
  readonly goodUntilMs: number;
}

/** What lists of revoked certificates say. A certificate is looked up once for each connection and change of the lists. */
export class Revocations {
  readonly #book: FactBook;
  readonly #files: readonly string[];
  readonly #allowExpired: boolean;
  readonly #judged = new WeakMap<ClientCertificateFacts, Judged>();
  #version = -1;
  /** null: a file that is named is not there. */
  #lists: readonly CrlFacts[] | null = null;

  constructor(files: readonly string[], allowExpired: boolean, context: Pick<FilterContext, 'facts'>) {
    this.#files = files;
    this.#allowExpired = allowExpired;
    this.#book = context.facts(crlKind);
  }

  verdict(certificate: ClientCertificateFacts, nowMs: number): RevocationVerdict {
    if (this.#book.version !== this.#version) this.#read();
    let judged = this.#judged.get(certificate);
    if (judged?.version !== this.#version) this.#judged.set(certificate, judged = this.#judge(certificate));
    if (judged.revoked) return 'revoked';
    const known = judged.goodUntilMs > nowMs || (this.#allowExpired && judged.goodUntilMs >= 0);
    return known ? 'good' : 'unknown';
  }

  #read(): void {
    this.#version = this.#book.version;
    const lists: CrlFacts[] = [];
    this.#lists = lists;
    for (const file of this.#files) {
      const body = this.#book.get(file);
      const read = body === undefined ? null : decodeCrls(body);
      if (read === null) this.#lists = null;
      else lists.push(...read);
    }
  }

  #judge({ serial, issuerHash, issuerKeyId }: ClientCertificateFacts): Judged {
    const version = this.#version;
    let goodUntilMs = -1;
    if (serial === '') return { version, revoked: false, goodUntilMs };
    for (const list of this.#lists ?? []) {
      const own = list.issuerHash === issuerHash && (list.issuerKeyId === issuerKeyId || list.issuerKeyId === '' || issuerKeyId === '');
      if (!own) continue;
      if (list.issuerRevoked || hasSerial(list.serials, serial)) return { version, revoked: true, goodUntilMs };
      goodUntilMs = Math.max(goodUntilMs, list.endsMs);
    }
    return { version, revoked: false, goodUntilMs };
  }
}
