import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { OutlierDetection } from './gen/outlier-detection.ts';
import { checkOutlierDetection, outlierDetectionSchema, type EffectiveOutlierDetection } from './schema.ts';

/** What the control plane knows of outlierDetection: caller side. */
export const outlierDetectionAuthoring: AuthoringKind = {
  name: 'outlierDetection',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: outlierDetectionSchema,
  defaults: {},
  check: checkOutlierDetection,
  compile: (effective) => ({ minFormat: 1, body: OutlierDetection.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveOutlierDetection): OutlierDetection {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
