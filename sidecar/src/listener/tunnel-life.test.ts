import { afterEach, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '@remora/core/canonical-json';
import { ipAccessAuthoring } from '@remora/policy-ip-access/compile';
import { effectiveSection } from '@remora/testing/effective-section';
import { generationsMax } from '../pipeline/live-tunnels.ts';
import type { WireEnd } from '@remora/testing/wire-end';
import { TunnelEnds, frame, switches, tunnelsOf, untilTunnels, upgradeRequest } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

const closeWith = (code: number): number[] => [0x88, 2, code >> 8, code & 255];

async function works(end: WireEnd, app: WireEnd, word: string): Promise<void> {
  end.send(frame(1, Buffer.from(word), { mask: true }));
  app.send(frame(1, Buffer.from(word)));
  await Promise.all([end.until(() => end.text.endsWith(word)), app.until(() => app.received.length >= word.length + 6)]);
}

describe('a swap', () => {
  it('keeps tunnels, on the configuration that they began on', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    await rig.apply(rig.candidate({ limits: { headerCount: 50 } }));
    await rig.apply(rig.candidate({ routes: [] }));
    await works(end, app, 'still here');
    expect((await tunnelsOf(rig)).oldest).toMatchObject([{ generationsAgo: 2 }]);
    expect(rig.refusals).toEqual([]);
  });

  it('that makes a seventeenth generation ends the tunnels of the first, with 1012 and a reason', async () => {
    const { rig, up } = await ends.rig(switches);
    const opened = [];
    for (let nth = 0; nth < generationsMax; nth++) {
      opened.push(await ends.open(rig, up), await ends.open(rig, up));
      if (nth < generationsMax - 1) await rig.apply(rig.candidate({ limits: { headerCount: 50 + nth } }));
    }
    expect(await tunnelsOf(rig)).toMatchObject({ count: generationsMax * 2, olderGenerations: generationsMax - 1 });
    expect(rig.plane.readPolicyEvents().get('generation_older')).toBe(generationsMax - 1);
    await rig.apply(rig.candidate({ limits: { headerCount: 99 } }));
    for (const { end, app } of opened.slice(0, 2)) {
      await end.untilClosed();
      await app.untilClosed();
      expect([...end.received]).toEqual(closeWith(1012));
      end.end();
      app.end();
    }
    await untilTunnels(rig, (generationsMax - 1) * 2);
    await vi.waitFor(() => expect(rig.refusals.map(({ reason }) => reason)).toEqual(['tunnel-superseded', 'tunnel-superseded']));
    expect(rig.plane.readSeries()[0]?.refusals).toMatchObject([{ reason: 'tunnel-superseded', count: 2 }]);
    for (const { end, app } of opened.slice(2)) await works(end, app, 'still here');
    expect(rig.plane.readPolicyEvents().get('generation_older')).toBe(generationsMax - 1);
  });
});

describe('a drain', () => {
  it('gives tunnels their time; then a WebSocket gets 1001 on both sides', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    const drained = rig.plane.drain(2000);
    await works(end, app, 'not yet');
    end.received = Buffer.alloc(0);
    await Promise.all([end.untilClosed(), app.untilClosed()]);
    expect([...end.received]).toEqual(closeWith(1001));
    end.end();
    app.end();
    expect(await drained).toEqual({ cut: 1 });
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'draining' }]));
  });

  it('ends as soon as its tunnels have', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    const drained = rig.plane.drain(60_000);
    end.end();
    app.end();
    expect(await drained).toEqual({ cut: 0 });
  });
});

describe('a policy that changes', () => {
  const denies = (revoke: boolean): object => ({ kind: 'ipAccess', ...compiled({ deny: { here: '127.0.0.0/8' }, revoke }), origins: [{ pointer: '/deny/here', policy: 'lockdown' }] });

  function compiled(values: JsonObject): object {
    const { minFormat, body } = ipAccessAuthoring.compile(effectiveSection(ipAccessAuthoring, values));
    return { minFormat, body: Buffer.from(body) };
  }

  it('ends what it would not let in any more only where it says `revoke`, and is named with its version', async () => {
    const { rig, up } = await ends.rig(switches);
    const { end, app } = await ends.open(rig, up);
    await rig.apply(rig.candidate({ sections: [denies(false)] }));
    await works(end, app, 'still here');
    end.received = Buffer.alloc(0);
    await rig.apply(rig.candidate({ sections: [denies(true)] }));
    await Promise.all([end.untilClosed(), app.untilClosed()]);
    expect([...end.received]).toEqual(closeWith(1008));
    end.end();
    app.end();
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'tunnel-revoked', kind: 'ipAccess', pointer: '/deny/here', policy: 'lockdown', configVersion: '1.3', status: 101 }]));
    await untilTunnels(rig, 0);
    const late = await ends.client(rig.port);
    late.send(upgradeRequest());
    await late.untilText('\r\n\r\n');
    expect(late.text).toMatch(/^HTTP\/1\.1 403 /);
  });
});
