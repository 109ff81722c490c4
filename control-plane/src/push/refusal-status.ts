import type { Version } from '@remora/core/version';
import { NackClass, type Nack } from '@remora/proto/gen/remora/push/v1/push';
import type { RefusalStatus } from './push-hub.ts';

const errorsMax = 32;
const textMax = 1_024;
const policiesMax = 16;

/** A sidecar's refusal as it is shown and kept: cut to its bounds, because it is input. */
export function refusalStatus(nack: Nack, refused: { readonly lane: 'config' | 'state'; readonly version: Version; readonly hash: string }, atMs: number): RefusalStatus {
  return {
    version: refused.version,
    hash: refused.hash,
    at: new Date(atMs).toISOString(),
    lane: refused.lane,
    class: classOf(nack.nackClass),
    errors: nack.errors.slice(0, errorsMax).map((error) => ({
      resource: cut(error.resource),
      kind: cut(error.kind),
      pointer: cut(error.pointer),
      code: cut(error.code),
      message: cut(error.message),
      policies: error.policies.slice(0, policiesMax).map(cut),
    })),
  };
}

/** A class that this control plane does not know is tried again later, like `transient`. */
function classOf(nackClass: NackClass): RefusalStatus['class'] {
  switch (nackClass) {
    case NackClass.NACK_CLASS_INVALID: return 'invalid';
    case NackClass.NACK_CLASS_GUARD: return 'guard';
    case NackClass.NACK_CLASS_RESYNC: return 'resync';
    case NackClass.NACK_CLASS_TRANSIENT:
    case NackClass.NACK_CLASS_UNSPECIFIED:
    case NackClass.UNRECOGNIZED:
    default: return 'transient';
  }
}

function cut(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax - 1)}…`;
}
