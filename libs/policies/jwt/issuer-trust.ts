import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { ConsumerSigningKey } from '@remora/policy-kit/consumer-credentials';
import type { FactBook } from '@remora/policy-kit/facts';
import type { CompactToken } from '@remora/policy-kit/tokens/compact-token';
import type { IssuerKeys } from '@remora/policy-kit/tokens/issuer-keys';
import { KeySet } from '@remora/policy-kit/tokens/key-set';
import { readConsumerKey, type VerificationKey } from '@remora/policy-kit/tokens/verification-key';
import type { FetchedKeys, IssuerSettings, TokenRules } from './wire.ts';

/** Whom a policy believes, and by which keys and rules. */
export interface Trust {
  /** As refusals name it, e.g. `/issuers/keycloak`. */
  readonly pointer: string;
  readonly rules: TokenRules;
  /** Where its keys are fetched; null: nowhere. */
  readonly source: FetchedKeys | null;
  /** What tokens are verified with now: the same object as long as it is the same. null: not there yet. */
  keys(token: CompactToken, issuer: string): KeySet | null;
  /** Whether what a token was verified with still counts. */
  still(trust: object): boolean;
}

/** An issuer of the policy: its keys are fetched by the control thread, or stand in the policy. */
export class IssuerTrust implements Trust {
  readonly pointer: string;
  readonly rules: TokenRules;
  readonly source: FetchedKeys | null;
  readonly #inline: KeySet | null;
  readonly #fetched: IssuerKeys;

  constructor({ name, rules, source, keys }: IssuerSettings, fetched: IssuerKeys) {
    this.pointer = `/issuers/${name}`;
    this.rules = rules;
    this.source = source;
    this.#inline = keys;
    this.#fetched = fetched;
  }

  keys(): KeySet | null {
    return this.source === null ? this.#inline : this.#fetched.of(this.source.name);
  }

  still(trust: object): boolean {
    return this.keys() === trust;
  }
}

/** Consumers that sign their tokens themselves: the issuer is a name that only one consumer's keys are given for. */
export class ConsumerTrust implements Trust {
  readonly pointer = '/consumerTokens';
  readonly rules: TokenRules;
  readonly source = null;
  readonly #book: FactBook;
  readonly #directory: ConsumerDirectory;
  /** Until the book moves: what was found for one issuer and key id. */
  #sets = new Map<string, KeySet>();
  #version = -1;
  readonly #owners = new WeakMap<VerificationKey, ConsumerSigningKey>();

  constructor(rules: TokenRules, book: FactBook) {
    this.rules = rules;
    this.#book = book;
    this.#directory = consumerDirectory(book);
  }

  knows(issuer: string): boolean {
    return this.#directory.tokenKeys(issuer).length > 0;
  }

  keys({ keyId }: CompactToken, issuer: string): KeySet {
    if (this.#version !== this.#book.version) {
      this.#version = this.#book.version;
      this.#sets = new Map();
    }
    const name = JSON.stringify([issuer, keyId]);
    let set = this.#sets.get(name);
    if (set === undefined) {
      set = this.#read(issuer, keyId);
      if (this.#sets.size < setsMax) this.#sets.set(name, set);
    }
    return set;
  }

  #read(issuer: string, keyId: string | null): KeySet {
    const only = keyId === null ? null : this.#directory.byKeyId('jwt', keyId, issuer);
    const owned = keyId === null ? this.#directory.tokenKeys(issuer) : only === null ? [] : [only];
    return new KeySet(owned.flatMap((credential) => {
      const key = readConsumerKey(credential.keyId, credential.algorithm, credential.key);
      if (key === null) return [];
      this.#owners.set(key, credential);
      return [key];
    }));
  }

  still(trust: object): boolean {
    if (this.#version !== this.#book.version) return false;
    for (const set of this.#sets.values()) if (set === trust) return true;
    return false;
  }

  /** Whose key it is. */
  ownerOf(key: VerificationKey): ConsumerSigningKey | undefined {
    return this.#owners.get(key);
  }
}

const setsMax = 1024;
