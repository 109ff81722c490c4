import type { Reason } from '@remora/errors/reason';
import type { Head, HeaderId } from '@remora/http/head';
import { internHeaderName, makeField } from '@remora/http/header-ids';
import { CheckedSink } from '@remora/policy-kit/checked-sink';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { ConsumerSigningKey } from '@remora/policy-kit/consumer-credentials';
import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange, type HeldBody, type Sink, type Verdict } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { DigestCheck, matchesDigest, readContentDigest, type ContentDigest } from './content-digest.ts';
import { contentDigestMismatch, signatureExpired, signatureIncomplete, signatureInvalid, signatureOverload, signatureReplayed, signatureWarming } from './reasons.ts';
import { ReplayWindow, replayBytes } from './replay-window.ts';
import { signatureBase } from './signature-base.ts';
import { readByteMember, readSignatureInputs, type SignatureInput } from './signature-input.ts';
import { verifySignature } from './verify-signature.ts';
import { hmacWire, type HmacSettings } from './wire.ts';

/** Finds who signed a request (RFC 9421). Refuses nothing by itself, but for a long body that is not the signed one: `authentication` decides over what it found. */
export const hmacRuntime: RuntimeKind<HmacSettings> = {
  ...hmacWire,
  side: 'provider',
  edge: (settings, context) => new HmacFilter(settings, context),
};

const challenge = 'Signature';
/** Signatures by public keys that one filter verifies at once, off its thread. */
const underwayMax = 256;
/** Characters of both fields. */
const fieldMax = 8_192;
/** Bodies up to this many bytes are held back until their digest is known. */
const heldMax = 65_536;
const noBytes = new Uint8Array(0);
const noScopes: readonly string[] = Object.freeze([]);
const inputId = internHeaderName('signature-input');
const signatureId = internHeaderName('signature');
const digestId = internHeaderName('content-digest');

/** A signature that is good, of a request whose body is not known yet. */
interface Signed {
  readonly input: SignatureInput;
  readonly key: ConsumerSigningKey;
  readonly digest: ContentDigest;
}

class HmacFilter implements EdgeFilter {
  readonly kind = 'hmac';
  /** One more, to see that there is more. */
  readonly holdBytes: number = heldMax + 1;
  readonly #settings: HmacSettings;
  readonly #context: FilterContext;
  readonly #directory: ConsumerDirectory;
  readonly #replays: ReplayWindow;
  /** Slot of the digest that a body is compared with. */
  readonly #slot: number;
  readonly #mismatch: Answer;
  readonly #accepted: () => void;
  readonly #failed: () => void;
  #underway = 0;

  constructor(settings: HmacSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#directory = consumerDirectory(context.facts('consumers'));
    const owner = context.scope.slice(0, context.scope.lastIndexOf('/'));
    const key = `hmac/${owner}/${context.shadow ? 'shadow/' : ''}nonces`;
    const memory = context.shared?.(key, 'nonces', replayBytes) ?? null;
    this.#replays = context.live.keep(key, 'nonces', () => new ReplayWindow(memory?.buffer ?? new ArrayBuffer(replayBytes)));
    this.#slot = context.slot();
    this.#mismatch = this.#refusal(contentDigestMismatch, 'the body does not have the digest that was signed');
    this.#accepted = context.counter('hmac_accepted');
    this.#failed = context.counter('hmac_failed');
  }

  request(x: Exchange): Verdict | typeof HOLD {
    const identity = (x.identity ??= new RequestIdentity());
    identity.looks('hmac');
    const fields = [joined(x.head, inputId), joined(x.head, signatureId)] as const;
    if (fields[0] === '' && fields[1] === '') {
      identity.challenge(challenge);
      return null;
    }
    if (!this.#directory.known) return this.#fail(x, signatureWarming, 'no consumers have come from the control plane yet');
    const inputs = fields[0].length > fieldMax || fields[1].length > fieldMax ? null : readSignatureInputs(fields[0]);
    if (inputs === null) return this.#fail(x, signatureInvalid, 'signature-input cannot be read, or has parameters that are not understood');
    const input = this.#ours(inputs);
    const key = input === null ? null : this.#directory.byKeyId('hmac', input.keyId);
    if (input === null || key === null) return this.#fail(x, signatureInvalid, 'no signature by a key that is known');
    return this.#check(x, input, key, readByteMember(fields[1], input.label));
  }

  requestHeld(x: Exchange, body: HeldBody): null {
    const signed = x.slots[this.#slot] as Signed;
    if (body.length > heldMax) return this.#acceptStreaming(x, signed);
    if (!matchesDigest(signed.digest, body.bytes(heldMax))) return this.#fail(x, contentDigestMismatch, 'the body does not have the digest that was signed');
    return this.#accept(x, signed.input, signed.key);
  }

  requestBody(x: Exchange, next: Sink): Sink {
    const signed = x.slots[this.#slot] as Signed | undefined;
    if (signed === undefined) return next;
    return new CheckedSink(next, { check: new DigestCheck(signed.digest), reason: contentDigestMismatch, refuse: () => x.answer(x.token, this.#mismatch) });
  }

  /** The first by a key that somebody has, with the tag that is wanted. */
  #ours(inputs: readonly SignatureInput[]): SignatureInput | null {
    const { tag } = this.#settings;
    return inputs.find((one) => (tag === '' || one.tag === tag) && this.#directory.byKeyId('hmac', one.keyId) !== null) ?? null;
  }

  #check(x: Exchange, input: SignatureInput, key: ConsumerSigningKey, signature: Buffer | null): Verdict | typeof HOLD {
    if (signature === null) return this.#fail(x, signatureInvalid, `no signature ${input.label}`);
    if (input.algorithm !== '' && input.algorithm !== key.algorithm) return this.#fail(x, signatureInvalid, 'alg is not the algorithm of the key');
    const problem = this.#incomplete(x, input);
    if (problem !== '') return this.#fail(x, signatureIncomplete, problem);
    const late = this.#late(x.startedWallMs, input, key);
    if (late !== '') return this.#fail(x, signatureExpired, late);
    const base = signatureBase(input, x.head);
    if (base === null) return this.#fail(x, signatureInvalid, 'the request lacks a component that is signed');
    const { token } = x;
    const wait = this.#context.shadow ? null : (valid: boolean): void => {
      this.#underway--;
      if (x.token !== token) return;
      if (this.#conclude(x, input, key, valid) === HOLD) x.hold(token);
      else x.proceed(token);
    };
    if (wait !== null && this.#underway >= underwayMax) return this.#fail(x, signatureOverload, 'too many signatures are being verified');
    const valid = verifySignature(key, base, signature, wait);
    if (valid !== 'pending') return this.#conclude(x, input, key, valid);
    this.#underway++;
    return WAIT;
  }

  /** '' where everything that must be covered is. */
  #incomplete(x: Exchange, { components, created, nonce }: SignatureInput): string {
    const covered = (name: string): boolean => components.some((one) => one.name === name && one.argument === '');
    const within = new Set([...(covered('@target-uri') ? partsOfTargetUri : []), ...(covered('@request-target') ? partsOfTarget : [])]);
    const missing = this.#settings.components.filter((name) => !covered(name) && !within.has(name));
    if (missing.length > 0) return `does not cover ${missing.join(', ')}`;
    if (created < 0) return 'does not say when it was created';
    if (this.#settings.nonceRequired && nonce === '') return 'has no nonce';
    const hasBody = x.head.bodyLength !== 0;
    return this.#settings.digestRequired && hasBody && !covered('content-digest') ? 'there is a body, and content-digest is not covered' : '';
  }

  #late(nowMs: number, { created, expires }: SignatureInput, key: ConsumerSigningKey): string {
    const { maxAgeMs, leewayMs } = this.#settings;
    if (created * 1000 > nowMs + leewayMs) return 'created in the future';
    if (created * 1000 + maxAgeMs <= nowMs) return 'created too long ago';
    if (expires >= 0 && expires * 1000 <= nowMs) return 'past its expires';
    return key.expiresMs <= nowMs ? 'the key is past its end' : '';
  }

  #conclude(x: Exchange, input: SignatureInput, key: ConsumerSigningKey, valid: boolean): null | typeof HOLD {
    if (!valid) return this.#fail(x, signatureInvalid, `the signature is not by the key ${input.keyId.slice(0, 64)}`);
    const digest = this.#digestOf(x, input);
    if (digest === 'unreadable') return this.#fail(x, signatureInvalid, 'content-digest is none that is understood');
    const { bodyLength } = x.head;
    if (digest !== null && bodyLength === 0 && !matchesDigest(digest, noBytes)) return this.#fail(x, contentDigestMismatch, 'there is no body, and content-digest is not that of none');
    if (digest === null || bodyLength === 0) return this.#accept(x, input, key);
    const signed: Signed = { input, key, digest };
    if (this.#context.shadow || bodyLength > heldMax) return this.#acceptStreaming(x, signed);
    x.slots[this.#slot] = signed;
    return HOLD;
  }

  /** The body is compared while it goes on. */
  #acceptStreaming(x: Exchange, signed: Signed): null {
    x.slots[this.#slot] = signed;
    x.wantsRequestBody |= this.#context.bodyBit;
    return this.#accept(x, signed.input, signed.key);
  }

  #accept(x: Exchange, input: SignatureInput, key: ConsumerSigningKey): null {
    if (input.nonce !== '') {
      const until = input.created + Math.ceil((this.#settings.maxAgeMs + this.#settings.leewayMs) / 1000);
      if (!this.#replays.use(input.keyId, input.nonce, until, Math.floor(x.startedWallMs / 1000))) return this.#fail(x, signatureReplayed, 'its nonce was used before');
    }
    if (!this.#settings.forwardSignature) for (const id of [inputId, signatureId]) x.head.remove(id);
    this.#accepted();
    (x.identity ??= new RequestIdentity()).finds('hmac', { consumer: key.consumer, subject: key.keyId, issuer: '', claims: null, scopes: noScopes });
    return null;
  }

  /** Only a digest that is signed says anything. */
  #digestOf(x: Exchange, { components }: SignatureInput): ContentDigest | null | 'unreadable' {
    if (!components.some(({ name }) => name === 'content-digest')) return null;
    return readContentDigest(joined(x.head, digestId)) ?? 'unreadable';
  }

  #fail(x: Exchange, reason: Reason, detail: string): null {
    this.#failed();
    (x.identity ??= new RequestIdentity()).fails('hmac', this.#refusal(reason, detail));
    return null;
  }

  #refusal(reason: Reason, detail: string): Answer {
    return this.#context.refuse(reason, '', detail, reason.status === 503 ? laterFields : againFields);
  }
}

const partsOfTarget = ['@path', '@query'];
const partsOfTargetUri = ['@scheme', '@authority', ...partsOfTarget];
const againFields = [makeField('www-authenticate', challenge)];
const laterFields = [makeField('retry-after', '1')];

/** All lines of a field as one; '' where there is none. */
function joined(head: Head, id: HeaderId): string {
  const count = head.count(id);
  let text = count === 0 ? '' : head.valueAt(id, 0);
  for (let nth = 1; nth < count; nth++) text += `, ${head.valueAt(id, nth)}`;
  return text;
}
