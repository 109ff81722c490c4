import { narratorName } from './create-world.ts';
import { DemoFailure } from './demo-failure.ts';
import type { World } from './world.ts';

/** Configuration that the control plane has sent to sidecars since it started; heartbeats and endpoints are not in it. */
export interface PushFigures {
  readonly configMessages: number;
  readonly configBytes: number;
}

/** From the control plane's own metrics. */
export async function readPushFigures(world: World): Promise<PushFigures> {
  const answer = await fetch(`${world.fleet.api}/metrics`, { headers: { authorization: `Bearer ${world.fleet.people.tokenOf(narratorName)}` }, signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  return { configMessages: sumOf(text, 'remora_push_lane_messages_total'), configBytes: sumOf(text, 'remora_push_lane_bytes_total') };
}

/** Over the lane `config`. */
function sumOf(text: string, metric: string): number {
  if (!text.includes(`# TYPE ${metric} `)) throw new DemoFailure(`the metric ${metric}`, 'it is not on /metrics');
  const lines = text.split('\n').filter((line) => line.startsWith(`${metric}{`) && line.includes('lane="config"'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
