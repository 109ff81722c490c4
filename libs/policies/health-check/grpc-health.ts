import { GrpcHealthRequest, GrpcHealthResponse } from './gen/health-check.ts';

const prefixBytes = 5;
const serving = 1;
const names = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** The question of grpc.health.v1.Health/Check as it goes over HTTP/2: not compressed, its length, the message. */
export function encodeGrpcCheck(service: string): Buffer {
  const body = GrpcHealthRequest.encode({ service }).finish();
  const message = Buffer.alloc(prefixBytes + body.length);
  message.writeUInt32BE(body.length, 1);
  message.set(body, prefixBytes);
  return message;
}

/** What the answer says is wrong; '': it serves. */
export function readGrpcHealth(message: Buffer): string {
  if (message.length < prefixBytes || message[0] !== 0 || message.readUInt32BE(1) !== message.length - prefixBytes) return 'its answer is no gRPC message';
  try {
    const { status } = GrpcHealthResponse.decode(message.subarray(prefixBytes));
    return status === serving ? '' : names[status] ?? `status ${status}`;
  } catch {
    return 'its answer cannot be read';
  }
}
