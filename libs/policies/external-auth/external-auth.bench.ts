import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { externalAuthAuthoring } from './compile.ts';
import { externalAuthRuntime } from './filter.ts';
import { CheckResponse, Reply } from './gen/external-auth.ts';
import type { ExternalAuthSettings } from './wire.ts';

/** A decision that is known already. What a question costs is the authorizer's affair for the most part. */
export function bench(): KindCost {
  return measureEdge(externalAuthAuthoring, answering, {
    grpc: { address: 'opa.internal:9191' }, allowPrivateAddresses: true, cache: { ttl: '1h', key: ['${header.authorization}', '${request.path}'] },
  });
}

const reply = Reply.encode(Reply.fromPartial({ body: Buffer.from(CheckResponse.encode(CheckResponse.fromPartial({ status: { code: 0 } })).finish()) })).finish();

const answering: RuntimeKind<ExternalAuthSettings> = {
  ...externalAuthRuntime,
  edge(settings, context) {
    const questions = {
      ask: (_topic: string, _body: Uint8Array, answered: (body: Uint8Array | null) => void): boolean => {
        answered(reply);
        return true;
      },
    };
    const asking = new Proxy(context, {
      get(target, name): unknown {
        const value: unknown = name === 'questions' ? questions : Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) as unknown : value;
      },
    });
    return externalAuthRuntime.edge?.(settings, asking) ?? null;
  },
};
