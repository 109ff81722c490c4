import { until } from '../../processes/until.ts';

/** Resolves when the gateway has somebody behind it, who answers anything but its own 503: a sidecar announces its app within a second of its start. */
export async function untilReachable(gatewayPort: number): Promise<void> {
  await until('the upstream is reached', async () => {
    const answer = await fetch(`http://127.0.0.1:${gatewayPort}/`).catch(() => null);
    await answer?.arrayBuffer();
    return answer?.status ?? 0;
  }, (status) => status !== 0 && status !== 503, 8000);
}
