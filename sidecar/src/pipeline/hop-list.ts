import { createHash } from 'node:crypto';
import type { Field } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';

/**
 * Finds requests that go round in circles. Every side of every sidecar adds its mark to `x-remora-hop`, and refuses what carries that mark
 * `passesMax` times, or `hopsMax` marks in all. Once is not enough: an app that passes on the headers it got may well be called again.
 * Gateways keep the field from strangers too, since a gateway that leads back to itself is one: who forges it ends its own request only.
 * Not `Via` (RFC 9110 section 7.6.3): servers compress less for requests that carry it.
 */
export class HopList {
  readonly #mark: string;
  readonly #first: Field;
  /** What each list becomes here, null where it is refused. Callers send few different ones. */
  #known = new Map<string, Field | null>();

  /** `node` and `side` are shown to nobody: a mark is a part of their hash. */
  constructor(node: string, side: string) {
    this.#mark = createHash('sha256').update(`${side}\0${node}`).digest('hex').slice(0, markLength);
    this.#first = makeField(headerName, this.#mark);
  }

  /** Adds this place to the request; false: it has been here too often. What is not a list of marks is replaced. */
  pass(head: MessageHead): boolean {
    if (!head.has(hopHeader)) {
      head.put(this.#first);
      return true;
    }
    const field = head.count(hopHeader) === 1 ? this.#next(head.valueAt(hopHeader, 0)) : this.#first;
    if (field === null) return false;
    head.remove(hopHeader);
    head.put(field);
    return true;
  }

  #next(list: string): Field | null {
    const known = this.#known.get(list);
    if (known !== undefined) return known;
    const made = this.#make(list);
    if (this.#known.size >= knownMax) this.#known = new Map();
    this.#known.set(list, made);
    return made;
  }

  #make(list: string): Field | null {
    if (!/^[0-9a-f]{8}(?:,[0-9a-f]{8})*$/.test(list)) return this.#first;
    const marks = list.split(',');
    if (marks.length >= hopsMax || marks.filter((mark) => mark === this.#mark).length >= passesMax) return null;
    return makeField(headerName, `${list},${this.#mark}`);
  }
}

/** The next time is refused. */
export const passesMax = 3;
export const hopsMax = 64;
const knownMax = 256;
const markLength = 8;
const headerName = 'x-remora-hop';
const hopHeader = headerId(headerName);
