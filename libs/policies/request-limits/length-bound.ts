import type { BodyCheck } from '@remora/policy-kit/checked-sink';

/** At most so many bytes. */
export class LengthBound implements BodyCheck {
  #rest: number;

  constructor(bytesMax: number) {
    this.#rest = bytesMax;
  }

  passes(_bytes: Uint8Array, at: number, to: number): boolean {
    this.#rest -= to - at;
    return this.#rest >= 0;
  }

  endsWell(): boolean {
    return true;
  }
}
