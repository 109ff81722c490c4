import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { StateItem } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { compareVersions, type Version } from '@remora/core/version';
import { Lane, State } from '@remora/proto/gen/remora/push/v1/push';
import { encodeMessage, wireVersion } from './encoded-messages.ts';
import { viewOfSets, type EncodedSet, type EndpointView } from './endpoint-views.ts';
import { nextItems, type ItemStep } from './item-steps.ts';

/** An encoded message of the state lane, and what the sidecar has after it. */
export interface StateMessage {
  readonly bytes: Uint8Array;
  readonly version: Version;
  readonly view: EndpointView;
  /** Whether that is all that was wanted, and not as much of it as one message may bring. */
  readonly complete: boolean;
}

const keptMax = 64;
const keptBytesMax = 32 * 1024 * 1024;

/**
 * Makes the messages of all state lanes. The way from one view to another is encoded once and serves every stream that
 * is at the same place and has seen no higher version; the last 64 (and 32 MiB) are kept.
 */
export class StateMessages {
  readonly #nextVersion: () => Version;
  readonly #bytesMax: number;
  readonly #kept = new Map<string, StateMessage>();
  #keptBytes = 0;

  /** `nextVersion` grows with each call, and over restarts. `bytesMax` bounds the sets and items in one message. */
  constructor(nextVersion: () => Version, bytesMax: number) {
    this.#nextVersion = nextVersion;
    this.#bytesMax = bytesMax;
  }

  /** The next step to `target`: all of it, or as much as fits. `base` null: the sidecar's sets are not known. */
  update(base: EndpointView | null, target: EndpointView, after: Version): StateMessage {
    const from = base === null ? '' : base.items === null ? `${base.hash}?` : base.hash;
    return this.#shared(`${from}>${target.hash}`, after, (version) => {
      const step = nextStep(base, target, this.#bytesMax);
      return { bytes: encodeState(version, step), version, view: step.view, complete: step.complete };
    });
  }

  unchanged(view: EndpointView, after: Version): StateMessage {
    return this.#shared(`=${view.hash}`, after, (version) => {
      const value = { lane: Lane.LANE_STATE, version: wireVersion(version), hash: Buffer.from(view.hash, 'hex') };
      return { bytes: encodeMessage({ $case: 'unchanged', value }), version, view, complete: true };
    });
  }

  #shared(key: string, after: Version, make: (version: Version) => StateMessage): StateMessage {
    const known = this.#kept.get(key);
    if (known && compareVersions(known.version, after) > 0) return known;
    if (known) this.#drop(key, known);
    const message = make(this.#nextVersion());
    this.#kept.set(key, message);
    this.#keptBytes += message.bytes.length;
    for (const [oldKey, old] of this.#kept) {
      if (this.#kept.size <= keptMax && this.#keptBytes <= keptBytesMax) break;
      this.#drop(oldKey, old);
    }
    return message;
  }

  #drop(key: string, message: StateMessage): void {
    this.#kept.delete(key);
    this.#keptBytes -= message.bytes.length;
  }
}

interface Step {
  readonly full: boolean;
  readonly sets: readonly EncodedSet[];
  readonly removed: readonly string[];
  readonly hold: readonly string[];
  readonly items: ItemStep;
  readonly view: EndpointView;
  readonly complete: boolean;
}

/** A set, or an item, is never divided; where the sets are too large together, the rest is left for the step after. */
function nextStep(base: EndpointView | null, target: EndpointView, bytesMax: number): Step {
  const reached = new Map<string, EncodedSet | null>();
  const sets: EncodedSet[] = [];
  const hold: string[] = [];
  let bytes = 0;
  let complete = true;
  for (const [service, set] of target.sets) {
    const has = base?.sets.get(service);
    if (set === null || has?.hash === set.hash) {
      reached.set(service, set);
      if (!base) hold.push(service);
    } else if (sets.length === 0 || bytes + set.bytes.length <= bytesMax) {
      reached.set(service, set);
      sets.push(set);
      bytes += set.bytes.length;
    } else {
      complete = false;
      if (has !== undefined) reached.set(service, has);
      if (!base) hold.push(service);
    }
  }
  const removed = base ? [...base.sets.keys()].filter((service) => !target.sets.has(service)) : [];
  const items = nextItems(base?.items ?? null, target.items, Math.max(0, bytesMax - bytes), sets.length === 0);
  const whole = complete && items.complete;
  return { full: base === null, sets, removed, hold, items, view: whole ? target : viewOfSets(reached, items.reached), complete: whole };
}

const stateField = 5;
const setsField = 3;
const itemsField = 7;
const lengthDelimited = 2;

/** Field by field, because the sets and the bodies of items are encoded already. */
function encodeState(version: Version, step: Step): Uint8Array {
  const { full, removed, hold, view, items } = step;
  const writer = new BinaryWriter();
  writer.uint32((stateField << 3) | lengthDelimited).fork();
  State.encode({
    version: wireVersion(version), full, sets: [], removed: [...removed], hash: Buffer.from(view.hash, 'hex'), hold: [...hold],
    items: [], removedItems: [...items.removed], holdItems: [...items.hold], fullItems: items.full,
  }, writer);
  for (const set of step.sets) writer.uint32((setsField << 3) | lengthDelimited).bytes(set.bytes);
  for (const { kind, name, body } of items.brought) {
    StateItem.encode({ kind, name, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) }, writer.uint32((itemsField << 3) | lengthDelimited).fork()).join();
  }
  return writer.join().finish();
}
