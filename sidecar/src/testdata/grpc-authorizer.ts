import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { CheckRequest, CheckResponse } from '@remora/policy-external-auth/gen/external-auth';

export type Check = (request: CheckRequest, answer: sendUnaryData<CheckResponse>) => void;

/** Tests only: a server of Envoy's protocol, made of the generated messages. Answers its address. */
export async function startGrpcAuthorizer(check: Check, closers: (() => unknown)[]): Promise<string> {
  const server = new Server();
  server.addService({
    check: {
      path: '/envoy.service.auth.v3.Authorization/Check', requestStream: false, responseStream: false,
      requestSerialize: (value: CheckRequest) => Buffer.from(CheckRequest.encode(value).finish()), requestDeserialize: (bytes: Buffer) => CheckRequest.decode(bytes),
      responseSerialize: (value: CheckResponse) => Buffer.from(CheckResponse.encode(CheckResponse.fromPartial(value)).finish()), responseDeserialize: (bytes: Buffer) => CheckResponse.decode(bytes),
    },
  }, { check: (call: ServerUnaryCall<CheckRequest, CheckResponse>, answer: sendUnaryData<CheckResponse>) => check(call.request, answer) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  closers.push(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}
