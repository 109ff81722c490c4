import { GrowingBytes } from './growing-bytes.ts';
import { parseClientHello, type ClientHello } from './client-hello.ts';

/** `more`: not all of it has come. `hello`: `hello` is set. `not-tls`: something else. `bad`: TLS, but no ClientHello that may be answered. */
export type HelloVerdict = 'more' | 'hello' | 'not-tls' | 'bad';

/**
 * Puts a ClientHello together over segments and records (RFC 8446 section 5.1: a message may be cut anywhere, post-quantum key shares
 * always are), keeping what came so that TLS can be given it afterwards. Verdict and result do not depend on how the bytes were cut.
 * Bounds: 32 KiB of message, 64 KiB of records, 1,024 records. Time is the owner's.
 */
export class ClientHelloReader {
  hello: ClientHello | null = null;
  /** What is wrong, for logs: set with `bad` and `not-tls`. */
  problem = '';
  readonly #raw = new GrowingBytes(rawBytesMax);
  readonly #message = new GrowingBytes(messageBytesMax);
  /** In `#raw`: the next record begins here, or the payload of the current one goes on. */
  #at = 0;
  /** Payload bytes of the current record that have not come. */
  #recordLeft = 0;
  #records = 0;
  #verdict: HelloVerdict = 'more';

  /** Everything that was fed, also what follows the ClientHello. */
  get raw(): Buffer {
    return this.#raw.view();
  }

  /** After any verdict but `more` nothing is fed any more. */
  feed(bytes: Uint8Array, from: number, to: number): HelloVerdict {
    if (this.#verdict !== 'more') return this.#verdict;
    const room = rawBytesMax - this.#raw.length;
    // What is beyond the bound is only kept once the message is complete: it belongs to whoever takes over.
    this.#raw.add(bytes, from, Math.min(to, from + room));
    this.#verdict = this.#advance();
    if (this.#verdict === 'hello' && to - from > room) this.#raw.addBeyond(bytes, from + room, to);
    else if (this.#verdict === 'more' && to - from > room) return this.#fail('bad', 'it is longer than 64 KiB');
    return this.#verdict;
  }

  #advance(): HelloVerdict {
    const raw = this.#raw;
    for (;;) {
      if (this.#recordLeft === 0) {
        const verdict = this.#readRecordHead();
        if (verdict !== null) return verdict;
      }
      const take = Math.min(this.#recordLeft, raw.length - this.#at);
      if (take === 0) return 'more';
      if (!this.#message.add(raw.bytes, this.#at, this.#at + take)) return this.#fail('bad', 'it is longer than 32 KiB');
      this.#at += take;
      this.#recordLeft -= take;
      const verdict = this.#checkMessage();
      if (verdict !== null) return verdict;
    }
  }

  /** Null: the payload follows. */
  #readRecordHead(): HelloVerdict | null {
    const { bytes, length } = this.#raw;
    const at = this.#at;
    const available = length - at;
    // Said as early as possible, so that nobody waits for the rest of something else.
    if (available > 0 && bytes[at] !== handshakeRecord) return this.#fail(this.#records === 0 ? 'not-tls' : 'bad', 'it is no handshake record');
    if (available > 1 && bytes[at + 1] !== 3) return this.#fail(this.#records === 0 ? 'not-tls' : 'bad', 'its version is not one of TLS');
    if (available < recordHeadBytes) return 'more';
    const size = ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number);
    if (size === 0 || size > recordBytesMax) return this.#fail('bad', `a record of ${size} bytes is not allowed`);
    if (++this.#records > recordsMax) return this.#fail('bad', `it is cut into more than ${recordsMax} records`);
    this.#recordLeft = size;
    this.#at = at + recordHeadBytes;
    return null;
  }

  /** Bytes of the whole message with its head; 0 until the head has come. */
  #wanted(): number {
    const { bytes, length } = this.#message;
    return length < messageHeadBytes ? 0 : messageHeadBytes + (((bytes[1] as number) << 16) | ((bytes[2] as number) << 8) | (bytes[3] as number));
  }

  #checkMessage(): HelloVerdict | null {
    const { bytes, length } = this.#message;
    if (bytes[0] !== clientHelloMessage) return this.#fail('bad', 'its first message is no ClientHello');
    const wanted = this.#wanted();
    if (wanted === 0) return null;
    if (wanted > messageBytesMax) return this.#fail('bad', 'it is longer than 32 KiB');
    if (length < wanted) return null;
    const parsed = parseClientHello(bytes, messageHeadBytes, wanted);
    if (typeof parsed === 'string') return this.#fail('bad', parsed);
    this.hello = parsed;
    return 'hello';
  }

  #fail(verdict: 'bad' | 'not-tls', problem: string): HelloVerdict {
    this.problem = problem;
    this.#verdict = verdict;
    return verdict;
  }
}

const rawBytesMax = 64 * 1024;
const messageBytesMax = 32 * 1024;
const recordsMax = 1024;
const handshakeRecord = 22;
const clientHelloMessage = 1;
const recordHeadBytes = 5;
const messageHeadBytes = 4;
/** TLSPlaintext.length (RFC 8446 section 5.1). */
const recordBytesMax = 16_384;
