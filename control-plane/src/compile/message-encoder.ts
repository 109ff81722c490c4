import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** Encodes one message after the other into memory that is used again; the answer is a copy of its own size. */
export class MessageEncoder {
  readonly #writer = new BinaryWriter();

  encode<T>(codec: { readonly encode: (message: T, writer: BinaryWriter) => BinaryWriter }, message: T): Uint8Array {
    try {
      return codec.encode(message, this.#writer).finish();
    } catch (error) {
      // What was written of it must not stand before the next message.
      this.#writer.finish();
      throw error;
    }
  }
}
