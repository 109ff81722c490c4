import { joinPointer } from '@remora/core/pointer';
import type { EdgeFilter, Exchange, Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { mtlsRequired } from './reasons.ts';
import { modeOf, mtlsWire, type MtlsSettings } from './wire.ts';

/** Refuses callers that showed no certificate of the mesh. Handshakes, and what becomes of certificates that are not good, are the listener's. */
export const mtlsRuntime: RuntimeKind<MtlsSettings> = {
  ...mtlsWire,
  side: 'provider',
  tcp: true,
  reasons: [mtlsRequired],
  edge: makeMtlsFilter,
};

/** Without an identity of its own the sidecar knows nobody: strict then refuses everybody. */
function makeMtlsFilter(settings: MtlsSettings, context: FilterContext): EdgeFilter | null {
  const { mode, ports } = settings;
  if (context.side !== 'inbound' || (mode !== 'strict' && ![...ports.values()].includes('strict'))) return null;
  const byMode = context.refuse(mtlsRequired, '/mode', 'the caller came without a certificate of the mesh');
  // All requests of a connection come by one port: what was found last is found again.
  let lastPort = '';
  let lastVerdict: Verdict = mode === 'strict' ? byMode : null;
  return {
    kind: 'mtls',
    request(x: Exchange): Verdict {
      const { principal, portName } = x.connection;
      if (principal !== '') return null;
      if (portName === lastPort) return lastVerdict;
      lastPort = portName;
      const own = ports.has(portName) ? context.refuse(mtlsRequired, joinPointer('/ports', portName), byMode.detail) : byMode;
      lastVerdict = modeOf(settings, portName) === 'strict' ? own : null;
      return lastVerdict;
    },
  };
}
