import { reasons } from '@remora/errors/reason';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { TunnelEnds, frame, switches, untilTunnels } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

/** A kind that lets everybody in, and says of tunnels that live what its settings say. */
const judge: RuntimeKind<string> = {
  name: 'waf', format: 1, side: 'provider', reasons: [],
  decode: (bytes) => Buffer.from(bytes).toString(),
  edge: (verdict, context) => {
    const refusal = context.refuse(reasons.badRequest, '/rules', 'it would not be let in any more');
    return {
      kind: 'waf',
      request: () => null,
      ...(verdict !== 'silent' && {
        revoke: () => {
          if (verdict === 'broken') throw new Error('cannot judge');
          return verdict === 'deny' ? refusal : null;
        },
      }),
    };
  },
};

const section = (verdict: string): object => ({ kind: 'waf', minFormat: 1, body: Buffer.from(verdict), origins: [{ pointer: '/rules', policy: 'rules' }] });

describe('a change of any kind that can be asked about tunnels', () => {
  it.each([
    ['deny', { reason: 'tunnel-revoked', kind: 'waf', pointer: '/rules', policy: 'rules' }],
    ['broken', { reason: 'tunnel-revoked', kind: 'waf' }],
  ])('ends those that it does not let in any more: %s', async (verdict, refusal) => {
    const { rig, up } = await ends.rig(switches, { kinds: new Map([...runtimeKinds, ['waf', judge]]) });
    const { end, app } = await ends.open(rig, up);
    await rig.apply(rig.candidate({ sections: [section(verdict)] }));
    await Promise.all([end.untilClosed(), app.untilClosed()]);
    expect([...end.received]).toEqual([0x88, 2, 1008 >> 8, 1008 & 255]);
    end.end();
    app.end();
    await untilTunnels(rig, 0);
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([refusal]));
  });

  it.each(['pass', 'silent'])('keeps the others: %s', async (verdict) => {
    const { rig, up } = await ends.rig(switches, { kinds: new Map([...runtimeKinds, ['waf', judge]]) });
    const { end, app } = await ends.open(rig, up);
    await rig.apply(rig.candidate({ sections: [section(verdict)] }));
    // A second change: what the first had set going is over before it is looked at again.
    await rig.apply(rig.candidate({ sections: [section(verdict)], limits: { headerCount: 50 } }));
    app.send(frame(1, Buffer.from('still here')));
    await end.until(() => end.text.endsWith('still here'));
    expect(rig.refusals).toEqual([]);
  });
});
